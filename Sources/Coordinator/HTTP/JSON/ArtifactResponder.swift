import Foundation
import HTTPTypes
import Hummingbird

/// Answers with an artifact's bytes. It reads them from disk as fast as the client takes them.
struct ArtifactResponder: Sendable {
    /// Block size of reads and writes. It bounds the memory of a slow download.
    static let blockBytes = 256 << 10

    let store: ArtifactStore
    let jobs: JobStore
    let disk: BlockingWork
    let metrics: CoordinatorMetrics

    /// The whole artifact, a single range (RFC 9110, section 14), or 304 if the client has it: a digest always names
    /// the same bytes.
    func respond(to request: Request, sha256: String) async throws -> Response {
        guard let size = try store.size(of: sha256) else {
            throw Problem(.notFound, "there is no artifact '\(sha256)'")
        }
        let tag = "\"\(sha256)\""
        var headers: HTTPFields = [
            .eTag: tag, .cacheControl: "private, max-age=31536000, immutable", .acceptRanges: "bytes",
            .xContentTypeOptions: "nosniff",
        ]
        if let known = request.headers[.ifNoneMatch], Self.matches(known, tag) {
            return Response(status: .notModified, headers: headers)
        }
        let (type, isImage) = try await contentType(of: sha256)
        headers[.contentType] = type
        if !isImage { headers[.contentDisposition] = "attachment" }

        var range = 0..<size
        var status = HTTPResponse.Status.ok
        // RFC 9110, section 14.2 defines a range for GET only.
        if request.method == .get, let text = request.headers[.range],
            request.headers[.ifRange].map({ $0 == tag }) ?? true
        {
            switch ByteRange.parse(text, size: size) {
            case .whole: break
            case .part(let part):
                range = part
                status = .partialContent
                headers[.contentRange] = "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(size)"
            case .unsatisfiable:
                throw Problem(
                    .rangeNotSatisfiable, "the artifact has \(size) bytes, the requested range is '\(text)'",
                    headers: [.contentRange: "bytes */\(size)"])
            }
        }
        return Response(status: status, headers: headers, body: body(of: sha256, range))
    }

    private func body(of sha256: String, _ range: Range<Int>) -> ResponseBody {
        ResponseBody(contentLength: range.count) { [store, disk, metrics] writer in
            var offset = range.lowerBound
            while offset < range.upperBound {
                let start = offset
                let count = min(Self.blockBytes, range.upperBound - start)
                let data = try await disk.run(.chunks) { try store.read(sha256, offset: start, count: count) }
                guard data.count == count else {
                    throw CoordinatorError(.fileSystem, "artifact \(sha256) became shorter while it was read")
                }
                metrics.update { $0.sentBytes[.http, default: 0] += count }
                try await writer.write(ByteBuffer(bytes: data))
                offset += count
            }
            try await writer.finish(nil)
        }
    }

    private func contentType(of sha256: String) async throws -> (type: String, isImage: Bool) {
        switch try await jobs.role(ofArtifact: sha256) {
        case .snapshot, .picture: return ("image/png", true)
        case .checkpoint, .generator, .discriminator, .model: return ("application/octet-stream", false)
        case .material: return ("application/xml", false)
        case .exemplar, .map, nil:
            let start = try await disk.run(.chunks) { [store] in try store.read(sha256, offset: 0, count: 4) }
            if start.elementsEqual([0x89, 0x50, 0x4E, 0x47]) { return ("image/png", true) }
            if start.starts(with: [0xFF, 0xD8, 0xFF]) { return ("image/jpeg", true) }
            return ("application/octet-stream", false)
        }
    }

    private static func matches(_ header: String, _ tag: String) -> Bool {
        header.split(separator: ",").contains { candidate in
            let bare = candidate.trimmingCharacters(in: .whitespaces)
            return bare == "*" || bare == tag || bare == "W/" + tag
        }
    }
}

/// What a Range header requests of a file.
enum ByteRange: Equatable {
    /// No range that this server supports: several ranges, another unit, or nonsense. The whole file is the right
    /// answer.
    case whole
    case part(Range<Int>)
    case unsatisfiable

    static func parse(_ header: String, size: Int) -> ByteRange {
        guard header.prefix(6).lowercased() == "bytes=" else { return .whole }
        let parts = header.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return .whole }
        // A number that does not fit an integer lies beyond every file.
        func number(_ text: Substring) -> Int? {
            text.isEmpty || !text.utf8.allSatisfy { (48...57).contains($0) } ? nil : Int(text) ?? .max
        }
        if parts[0].isEmpty {
            guard let suffix = number(parts[1]) else { return .whole }
            return suffix > 0 && size > 0 ? .part(max(0, size - suffix)..<size) : .unsatisfiable
        }
        guard let first = number(parts[0]) else { return .whole }
        guard first < size else { return .unsatisfiable }
        if parts[1].isEmpty { return .part(first..<size) }
        guard let last = number(parts[1]), last >= first else { return .whole }
        return .part(first..<min(last, size - 1) + 1)
    }
}

extension HTTPField.Name {
    static let origin = HTTPField.Name("Origin")!
}
