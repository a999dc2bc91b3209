import Foundation
import Protocol

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Talks to a coordinator's HTTP API.
struct APIClient: Sendable {
    let base: URL
    private let session: URLSession

    static let standard = "http://127.0.0.1:7740"

    /// - Parameter address: from the flag; nil falls back on TEXLOOM_API, the configuration file, this machine.
    init(address: String?) throws {
        let text = try address ?? Settings.current.get()["api"] ?? Self.standard
        guard let url = URL(string: text), let scheme = url.scheme, ["http", "https"].contains(scheme), url.host != nil
        else {
            throw CommandFailure("--api '\(text)' is not an address; expected one like \(Self.standard)", exit: .usage)
        }
        base = url
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = 60
        session = URLSession(configuration: configuration)
    }

    func get<Answer: Decodable>(
        _ path: String, query: [String: String] = [:], as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        let (data, _) = try await exchange(URLRequest(url: url(path, query)))
        return try decode(data, path)
    }

    func post<Answer: Decodable>(
        _ path: String, query: [String: String] = [:], body: some Encodable, as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        var request = URLRequest(url: url(path, query))
        request.httpMethod = "POST"
        request.httpBody = try APIFormat.encoder.encode(body)
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        let (data, _) = try await exchange(request)
        return try decode(data, path)
    }

    /// Posts without a body.
    func post<Answer: Decodable>(
        _ path: String, query: [String: String] = [:], as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        var request = URLRequest(url: url(path, query))
        request.httpMethod = "POST"
        let (data, _) = try await exchange(request)
        return try decode(data, path)
    }

    /// Posts raw bytes.
    func upload<Answer: Decodable>(
        _ data: Data, to path: String, as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        var request = URLRequest(url: url(path, [:]))
        request.httpMethod = "POST"
        request.httpBody = data
        request.setValue("application/octet-stream", forHTTPHeaderField: "Content-Type")
        let (answer, _) = try await exchange(request)
        return try decode(answer, path)
    }

    /// Fetches an artifact into a file and checks its digest; a file that is there already with that digest is kept.
    /// - Returns: whether anything was fetched.
    @discardableResult
    func fetch(_ artifact: ArtifactSummary, to file: URL) async throws -> Bool {
        if FileManager.default.fileExists(atPath: file.path), try texloom.sha256(of: file) == artifact.sha256 {
            return false
        }
        let request = URLRequest(url: url("/api/v1/artifacts/\(artifact.sha256)", [:]))
        let (temporary, response) = try await reaching { try await session.download(for: request) }
        defer { try? FileManager.default.removeItem(at: temporary) }
        try check(response, (try? Data(contentsOf: temporary)) ?? Data())
        let found = try texloom.sha256(of: temporary)
        guard found == artifact.sha256 else {
            throw CommandFailure(
                "\(file.lastPathComponent): what arrived has the SHA-256 \(found), expected \(artifact.sha256); try again",
                exit: .tryAgain)
        }
        let partial = file.appendingPathExtension("partial")
        do {
            try? FileManager.default.removeItem(at: partial)
            try FileManager.default.copyItem(at: temporary, to: partial)
        } catch {
            throw CommandFailure("\(file.path) cannot be written: \(error.localizedDescription)")
        }
        guard rename(partial.path, file.path) == 0 else {
            throw CommandFailure("\(file.path) cannot be written: \(String(cString: strerror(errno)))")
        }
        return true
    }

    // MARK: Exchange

    func url(_ path: String, _ query: [String: String]) -> URL {
        var components = URLComponents(url: base, resolvingAgainstBaseURL: false)!
        components.path = (components.path.hasSuffix("/") ? String(components.path.dropLast()) : components.path) + path
        if !query.isEmpty {
            components.queryItems = query.sorted { $0.key < $1.key }.map { URLQueryItem(name: $0.key, value: $0.value) }
            // Left as it is by URLComponents, and a space to every server that reads forms.
            components.percentEncodedQuery = components.percentEncodedQuery?.replacing("+", with: "%2B")
        }
        return components.url!
    }

    private func exchange(_ request: URLRequest) async throws -> (Data, URLResponse) {
        let (data, response) = try await reaching { try await session.data(for: request) }
        try check(response, data)
        return (data, response)
    }

    private func reaching<Answer>(_ body: () async throws -> Answer) async throws -> Answer {
        do {
            return try await body()
        } catch let error as URLError {
            throw unreachable(error.localizedDescription)
        }
    }

    func unreachable(_ reason: String) -> CommandFailure {
        CommandFailure(
            "the coordinator at \(base.absoluteString) cannot be reached (\(reason)); is 'texloom coordinator' running "
                + "there? --api or TEXLOOM_API names another address", exit: .tryAgain)
    }

    func strange(_ path: String) -> CommandFailure {
        CommandFailure(
            "\(base.absoluteString)\(path) did not answer like a texloom coordinator; is it one, and of this version?")
    }

    /// - Throws: `CommandFailure` with what a problem says, unless the status is a success.
    func check(_ response: URLResponse, _ data: Data) throws {
        guard let response = response as? HTTPURLResponse, !(200..<300).contains(response.statusCode) else { return }
        let detail =
            (try? APIFormat.decoder.decode(ProblemDetails.self, from: data))?.detail
            ?? "the coordinator at \(base.absoluteString) answered with status \(response.statusCode)"
        throw CommandFailure(detail, exit: response.statusCode == 503 ? .tryAgain : .failed)
    }

    private func decode<Answer: Decodable>(_ data: Data, _ path: String) throws -> Answer {
        do {
            return try APIFormat.decoder.decode(Answer.self, from: data)
        } catch {
            throw strange(path)
        }
    }
}
