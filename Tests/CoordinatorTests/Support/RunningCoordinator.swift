import Foundation
import Logging
import Protocol

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

@testable import Coordinator

/// A whole coordinator on free ports in a temporary folder.
final class RunningCoordinator: Sendable {
    let folder: TemporaryFolder
    let addresses: CoordinatorService.Addresses
    private let task: Task<Void, any Error>

    init(
        folder: TemporaryFolder = TemporaryFolder(), logger: Logger = .silent,
        configure: (inout CoordinatorConfiguration) -> Void = { _ in }
    ) async throws {
        self.folder = folder
        var configuration = CoordinatorConfiguration(dataFolder: folder.url)
        configuration.httpPort = 0
        configuration.workerEndpoint = "tcp://127.0.0.1:0"
        // Scripted workers send no heartbeats, and a test may take minutes on a busy machine.
        configuration.lease = .seconds(900)
        configuration.httpLimits = .patient
        configure(&configuration)
        let service = try CoordinatorService(configuration, logger: logger)
        let (ready, signal) = AsyncThrowingStream<CoordinatorService.Addresses, any Error>.makeStream()
        task = Task {
            do {
                try await service.run { signal.yield($0) }
                signal.finish()
            } catch {
                signal.finish(throwing: error)
                throw error
            }
        }
        var first: CoordinatorService.Addresses?
        for try await addresses in ready {
            first = addresses
            break
        }
        guard let first else {
            throw CoordinatorError(.addressUnavailable, "the coordinator ended before it was ready")
        }
        addresses = first
    }

    /// Stops the coordinator and waits until it has released its folder.
    func stop() async {
        task.cancel()
        _ = await task.result
    }

    deinit { task.cancel() }

    struct Answer {
        var status: Int
        var headers: [String: String]
        var body: Data

        func decoded<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
            try APIFormat.decoder.decode(type, from: body)
        }

        var text: String { String(decoding: body, as: UTF8.self) }
    }

    func send(
        _ method: String, _ path: String, body: Data? = nil, headers: [String: String] = [:]
    ) async throws -> Answer {
        var request = URLRequest(to: addresses.httpURL + path)
        request.httpMethod = method
        request.httpBody = body
        request.cachePolicy = .reloadIgnoringLocalCacheData
        request.httpShouldHandleCookies = false
        if path.hasPrefix("/api/") { request.setValue("application/json", forHTTPHeaderField: "Content-Type") }
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        let (data, response) = try await Self.session.data(for: request)
        let http = response as! HTTPURLResponse
        let fields = http.allHeaderFields.map { ("\($0.key)".lowercased(), "\($0.value)") }
        return Answer(
            status: http.statusCode, headers: Dictionary(fields, uniquingKeysWith: { $1 }), body: data)
    }

    /// Shows cookies and redirects to the test instead of obeying them.
    private static let session: URLSession = {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.httpCookieStorage = nil
        return URLSession(configuration: configuration, delegate: RefusedRedirects(), delegateQueue: nil)
    }()

    private final class RefusedRedirects: NSObject, URLSessionTaskDelegate {
        func urlSession(
            _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
            newRequest request: URLRequest, completionHandler: @escaping @Sendable (URLRequest?) -> Void
        ) { completionHandler(nil) }
    }

    func get(_ path: String, headers: [String: String] = [:]) async throws -> Answer {
        try await send("GET", path, headers: headers)
    }

    /// Makes a token, as `texloom tokens create --data FOLDER` does while the coordinator runs.
    func token(_ role: AccessRole, name: String? = nil, lifetimeSeconds: Double? = nil) async throws -> String {
        let request = TokenRequest(name: name ?? role.rawValue, role: role, lifetimeSeconds: lifetimeSeconds)
        return try await TokenAdministration(dataFolder: folder.url).create(request).secret
    }

    /// Uploads an exemplar and submits a job for each name.
    func submit(_ names: String..., key: String? = nil) async throws -> [AcceptedJob] {
        let receipt = try await send("POST", "/api/v1/exemplars", body: TestImages.png)
            .decoded(ExemplarReceipt.self)
        let jobs = names.map {
            JobSubmission(
                name: $0, fileName: "\($0).png", exemplarSHA256: receipt.sha256, recipeYAML: "recipe: draft", key: key)
        }
        let body = try APIFormat.encoder.encode(SubmitJobsRequest(jobs: jobs))
        return try await send("POST", "/api/v1/jobs", body: body).decoded(SubmitJobsResponse.self).jobs
    }
}

enum TestImages {
    /// 5 x 3 pixels, RGB.
    static let png = Data(
        base64Encoded: "iVBORw0KGgoAAAANSUhEUgAAAAUAAAADCAIAAADUVFKvAAAAKklEQVR4nA3HQQEAMBDCsM"
            + "pBDh5q4uQgdcsvgMHi4RBqauvV9X9mdt7cfCtKDy7gHy1uAAAAAElFTkSuQmCC")!
}
