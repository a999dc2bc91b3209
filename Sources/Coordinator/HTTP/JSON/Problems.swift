import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import OperatingSystem
import Protocol

/// An error of the HTTP side, answered as `application/problem+json` (RFC 9457), or as a page to people.
struct Problem: Error, HTTPResponseError {
    var status: HTTPResponse.Status
    var detail: String
    var headers: HTTPFields = [:]

    init(_ status: HTTPResponse.Status, _ detail: String, headers: HTTPFields = [:]) {
        self.status = status
        self.detail = detail
        self.headers = headers
    }

    func response(from request: Request, context: some RequestContext) throws -> Response {
        let details = ProblemDetails(title: status.reasonPhrase, status: status.code, detail: detail)
        var response = try jsonResponse(details, status: status)
        response.headers[.contentType] = "application/problem+json"
        response.headers.append(contentsOf: headers)
        return response
    }

    /// Translates an error into a problem for the client.
    init(_ error: any Error) {
        switch error {
        case let problem as Problem: self = problem
        case let error as HTTPError:
            let standard =
                error.status == .notFound
                ? "nothing is served at this address; /api/v1/openapi.json describes the API"
                : error.status.reasonPhrase
            self.init(error.status, error.body ?? standard)
        case let error as CoordinatorError:
            let status: HTTPResponse.Status =
                switch error.code {
                case .notStored: .notFound
                case .tooLarge: .contentTooLarge
                case .badExemplar, .digestMismatch: .unprocessableContent
                case .noSpace: .init(code: 507, reasonPhrase: "Insufficient Storage")
                case .storeUnavailable: .serviceUnavailable
                default: .internalServerError
                }
            // Space comes back when a person frees some.
            self.init(status, error.message, headers: error.code == .noSpace ? [.retryAfter: "60"] : [:])
        case let error as DecodingError: self.init(.badRequest, Self.describe(error))
        case let error as NIOTooManyBytesError:
            let limit = error.maxBytes.map { "\($0) bytes" } ?? "the coordinator reads"
            self.init(.contentTooLarge, "the body is larger than \(limit); send less")
        case let failure as FileFailure where failure.isFull: self = .unwritable("a file", "\(failure)")
        default:
            if let reason = JobStore.outage(error) {
                self.init(
                    .serviceUnavailable, "the job store cannot be read or written (\(reason)); try again",
                    headers: [.retryAfter: "5"])
            } else {
                self.init(.internalServerError, "the coordinator failed: \(error.systemReason)")
            }
        }
    }

    private static func describe(_ error: DecodingError) -> String {
        func path(_ context: DecodingError.Context) -> String {
            let keys = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }
            return keys.isEmpty ? "the body" : keys.joined(separator: ".")
        }
        switch error {
        case .keyNotFound(let key, let context): return "'\(key.stringValue)' is missing in \(path(context))"
        case .typeMismatch(let type, let context): return "\(path(context)) is not of type \(type)"
        case .valueNotFound(let type, let context): return "\(path(context)) is null; expected \(type)"
        case .dataCorrupted(let context) where context.codingPath.isEmpty:
            // Foundation says no more than that.
            return "the body is not valid JSON, or a number in it is too large or not whole"
        case .dataCorrupted(let context): return "\(path(context)) is invalid: \(context.debugDescription)"
        @unknown default: return "the body is not valid JSON"
        }
    }
}

/// Checks what a request says, at a place such as `jobs[3].`.
struct RequestCheck {
    var place = ""

    /// - Throws: `Problem` (422), the message behind the place.
    func callAsFunction(_ isRight: Bool, _ message: @autoclosure () -> String) throws {
        if !isRight { throw Problem(.unprocessableContent, place + message()) }
    }
}

/// Answers every error with its problem: with JSON, and with a page to a person who asks for one.
struct ProblemMiddleware: RouterMiddleware {
    let renderer: PageRenderer

    func handle(
        _ request: Request, context: CallerContext, next: (Request, CallerContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as CancellationError {
            throw error
        } catch  where Self.isOfAbsentClient(error) {
            // Not worth a line: strangers could fill the log with requests that they break off.
            throw error
        } catch {
            let problem = Problem(error)
            if problem.status.code >= 500 {
                context.logger.error(
                    "request failed", metadata: ["path": "\(request.uri.path)", "error": "\(problem.detail)"])
            }
            guard request.wantsPage else { return try problem.response(from: request, context: context) }
            // Without the query that is wrong, the page may be fine.
            let isOfQuery = problem.status == .badRequest && request.method == .get && request.uri.query != nil
            let back = isOfQuery ? LoginRoutes.local(request.uri.path) : "/"
            return renderer.response(to: problem, for: context, back: back)
        }
    }
}

extension Request {
    /// Whether a person's browser asks for a page. Scripts of pages and other programs ask for something else.
    var wantsPage: Bool {
        let accepted = headers[.accept] ?? ""
        return accepted.contains("text/html") && !accepted.contains("application/json")
            && !uri.path.hasPrefix("/api/")
    }
}

extension ProblemMiddleware {
    /// Whether the client closed its connection, or sent what is not HTTP. By name: the packages of these types are no
    /// dependencies of ours.
    private static func isOfAbsentClient(_ error: any Error) -> Bool {
        let type = String(reflecting: type(of: error))
        return type.hasPrefix("NIOHTTP1.HTTPParserError") || type.hasPrefix("NIOCore.ChannelError")
            || type.hasPrefix("NIOCore.IOError")
    }
}

/// A JSON answer in the API's format.
func jsonResponse(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
    let data = try APIFormat.encoder.encode(value)
    return Response(
        status: status, headers: [.contentType: "application/json", .cacheControl: "no-store"],
        body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
}
