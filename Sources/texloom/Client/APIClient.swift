import AsyncHTTPClient
import Base
import Crypto
import Foundation
import NIOCore
import NIOSSL
import Protocol

/// Talks to a coordinator's HTTP API.
struct APIClient: Sendable {
    static let standard = "http://127.0.0.1:7740"
    /// Largest JSON answer: more than the largest page; a server that is not a coordinator may send more.
    private static let maxAnswerBytes = 256 << 20

    /// Without user and password: it appears in messages.
    let base: URL
    private let authorization: HTTPClient.Authorization?
    /// Whether the person was told what an insecure coordinator says of itself.
    private let warned = Warned()
    private let proxy: Proxy?
    private let http: HTTPClient

    /// - Parameter address: the flag's value; nil falls back on TEXLOOM_API, the configuration file, this machine.
    init(address: String?, environment: [String: String] = ProcessInfo.processInfo.environment) throws {
        let text = try address ?? Settings.current.get()[.api] ?? Self.standard
        guard var parts = URLComponents(string: text), let url = parts.url, ["http", "https"].contains(url.scheme),
            url.host.map({ !$0.isEmpty }) ?? false
        else {
            throw CommandFailure("--api '\(text)' is not an address; expected one like \(Self.standard)", exit: .usage)
        }
        (parts.user, parts.password) = (nil, nil)
        base = parts.url ?? url
        proxy = try Proxy.chosen(for: url, environment: environment)
        let token = try APIToken.chosen(Settings.current.get())
        try token?.requirePrivacy(url, isProxied: proxy != nil)
        guard token == nil || url.basicAuthorization == nil else {
            throw CommandFailure(
                "--api has a user name and password, and a token is set too; a request can carry only one of them: "
                    + "leave one out", exit: .usage)
        }
        authorization = token.map { .bearer(tokens: $0.text) } ?? url.basicAuthorization

        var configuration = HTTPClient.Configuration()
        // The coordinator sends something every 15 seconds, into idle streams as well: after a minute of silence the
        // connection is dead.
        configuration.timeout = HTTPClient.Configuration.Timeout(
            connect: .seconds(Int64(HTTPFailure.connectSeconds)), read: .seconds(Int64(HTTPFailure.silenceSeconds)))
        // The caller decides whether to try again.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        // A redirect could lead a token to another host.
        if token != nil { configuration.redirectConfiguration = .disallow }
        configuration.proxy = proxy?.configuration
        configuration.tlsConfiguration = try Self.tls(authority: Settings.current.get()[.apiCA])
        http = HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
        // Connections end with the process, and so does the client.
        _ = Unmanaged.passRetained(http)
    }

    /// TLS 1.2 or newer.
    /// - Parameter authority: The file that `api-ca` names; nil: the system's authorities.
    static func tls(authority: String?) throws -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        guard let authority else { return tls }
        guard (try? NIOSSLCertificate.fromPEMFile(authority))?.isEmpty == false else {
            throw CommandFailure(
                "the setting api-ca names '\(authority)'; expected a PEM file of certificates", exit: .usage)
        }
        tls.trustRoots = .file(authority)
        return tls
    }

    /// - Parameter labels: Each as `key=value`, the one parameter that a query may repeat.
    func get<Answer: Decodable>(
        _ path: String, query: [String: String] = [:], labels: [String] = [], as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        try decode(try await exchange(request(path, query, labels: labels)), path)
    }

    func post<Answer: Decodable>(
        _ path: String, query: [String: String] = [:], body: some Encodable, as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        let body = try APIFormat.encoder.encode(body)
        return try decode(try await exchange(request(path, query, posting: body, type: "application/json")), path)
    }

    /// Posts without a body.
    func post<Answer: Decodable>(
        _ path: String, query: [String: String] = [:], as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        try decode(try await exchange(request(path, query, posting: Data())), path)
    }

    /// Posts raw bytes.
    func upload<Answer: Decodable>(
        _ data: Data, to path: String, as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        try decode(try await exchange(request(path, posting: data, type: "application/octet-stream")), path)
    }

    /// Streams an artifact into a file and checks its digest. Keeps an existing file of that digest. The file gets its
    /// name only when it is complete.
    /// - Returns: whether the file was fetched.
    @discardableResult
    func fetch(_ artifact: ArtifactSummary, to file: URL) async throws -> Bool {
        if FileManager.default.fileExists(atPath: file.path), try texloom.sha256(of: file) == artifact.sha256 {
            return false
        }
        let new = try NewFile(at: file)
        let response = try await open(request("/api/v1/artifacts/\(artifact.sha256)"))
        let found = try await reaching {
            var hash = SHA256()
            for try await buffer in response.body {
                try buffer.withUnsafeReadableBytes { bytes in
                    hash.update(bufferPointer: bytes)
                    try new.write(bytes)
                }
            }
            return hexadecimal(hash.finalize())
        }
        guard found == artifact.sha256 else {
            throw CommandFailure(
                "\(file.lastPathComponent): what arrived has the SHA-256 \(found), expected \(artifact.sha256); try again",
                exit: .tryAgain)
        }
        try new.place()
        return true
    }

    // MARK: Exchange

    /// A request; with a body, even an empty one, it is a POST.
    func request(
        _ path: String, _ query: [String: String] = [:], labels: [String] = [], posting body: Data? = nil,
        type: String? = nil
    ) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: url(path, query, labels: labels).absoluteString)
        request.headers.add(name: "User-Agent", value: "texloom/\(texloomVersion)")
        if let authorization { request.headers.add(name: "Authorization", value: authorization.headerValue) }
        if let body {
            request.method = .POST
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        if let type { request.headers.add(name: "Content-Type", value: type) }
        return request
    }

    func url(_ path: String, _ query: [String: String], labels: [String] = []) -> URL {
        var components = URLComponents(url: base, resolvingAgainstBaseURL: false)!
        components.path = (components.path.hasSuffix("/") ? String(components.path.dropLast()) : components.path) + path
        let parameters = query.sorted { $0.key < $1.key } + labels.map { (key: "label", value: $0) }
        components.setQuery(parameters.map { URLQueryItem(name: $0.key, value: $0.value) })
        return components.url!
    }

    private func exchange(_ request: HTTPClientRequest) async throws -> Data {
        try await collect(try await open(request).body)
    }

    /// Sends a request and returns as soon as the answer begins.
    /// - Throws: `CommandFailure` if the coordinator cannot be reached, or with its reason if it refuses.
    func open(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        let response = try await reaching {
            do {
                return try await http.execute(request, deadline: .distantFuture)
            } catch let error as HTTPClientError where error == .remoteConnectionClosed && request.method == .GET {
                // The coordinator closed an idle connection just when this request used it.
                return try await http.execute(request, deadline: .distantFuture)
            }
        }
        if let warning = response.headers.first(name: "Texloom-Insecure") { warned.tell(warning) }
        guard !(200..<300).contains(response.status.code) else { return response }
        if (300..<400).contains(response.status.code), let target = response.headers.first(name: "Location") {
            throw CommandFailure(
                "\(place) redirects to \(target); a token is not sent elsewhere: use that address with --api if you trust it"
            )
        }
        let data = (try? await collect(response.body)) ?? Data()
        let problem = try? APIFormat.decoder.decode(ProblemDetails.self, from: data)
        let detail = problem?.detail ?? "\(place) answered with status \(response.status.code)"
        let advice =
            switch response.status.code {
            case 401 where authorization == nil:
                "; no token is set: TEXLOOM_TOKEN_FILE or the setting token-file names the file that holds it"
            default: ""
            }
        // 502 and 504 come from a proxy before a coordinator that is away. A full disk (507) gets space again.
        let mayPass =
            [502, 503, 504].contains(response.status.code)
            || response.status.code == 507 && response.headers.contains(name: "Retry-After")
        throw CommandFailure(
            detail + advice, exit: mayPass ? .tryAgain : .failed,
            status: problem.map { _ in Int(response.status.code) })
    }

    private func collect(_ body: HTTPClientResponse.Body) async throws -> Data {
        try await reaching {
            do {
                return Data(try await body.collect(upTo: Self.maxAnswerBytes).readableBytesView)
            } catch is NIOTooManyBytesError {
                throw strange(base.path)
            }
        }
    }

    /// Turns network errors into messages.
    func reaching<Answer>(_ body: () async throws -> Answer) async throws -> Answer {
        do {
            return try await body()
        } catch let failure as CommandFailure {
            throw failure
        } catch let error as CancellationError {
            throw error
        } catch {
            throw unreachable(HTTPFailure.reason(error))
        }
    }

    func unreachable(_ reason: String) -> CommandFailure {
        var advice = "is 'texloom coordinator' running there? --api or TEXLOOM_API names another address"
        if let proxy {
            let host = base.host ?? ""
            advice =
                proxy.source == "TEXLOOM_PROXY"
                ? "TEXLOOM_PROXY asks for that proxy" : "no_proxy=\(host) goes there without the proxy"
        }
        return CommandFailure("\(place) cannot be reached (\(reason)); \(advice)", exit: .tryAgain)
    }

    /// The coordinator's name in messages.
    private var place: String {
        let way = proxy.map { " through the proxy \($0.address) (\($0.source))" } ?? ""
        return "the coordinator at \(base.absoluteString)\(way)"
    }

    func strange(_ path: String) -> CommandFailure {
        CommandFailure(
            "\(base.absoluteString)\(path) did not answer like a texloom coordinator; is it one, and of this version?")
    }

    private func decode<Answer: Decodable>(_ data: Data, _ path: String) throws -> Answer {
        do {
            return try APIFormat.decoder.decode(Answer.self, from: data)
        } catch {
            throw strange(path)
        }
    }
}
