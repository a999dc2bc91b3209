import ClusterCore
import Foundation
import Protocol

/// A record as a file.
extension AttemptRecord {
    /// Keeps messages in the wire's encoding, so that the wire's limits and compatibility rules hold for them.
    private struct Stored: Codable {
        struct Result: Codable {
            var message: Data
            var file: String?
        }
        var resumptions: Int
        var assignment: Data
        var results: [Result]
    }

    func encoded() throws -> Data {
        // The session and the request id of a kept message mean nothing.
        let session: UInt64 = 1
        let results = try results.map { item -> Stored.Result in
            let file: String? = if case .artifact(_, let file) = item.content { file } else { nil }
            return Stored.Result(message: Data(try WireMessage(item.message, session: session).frames()[0]), file: file)
        }
        let assignment = WireMessage(MessageToWorker.assign(requestID: 0, assignment), session: session)
        return try JSONEncoder().encode(
            Stored(resumptions: resumptions, assignment: Data(try assignment.frames()[0]), results: results))
    }

    /// - Throws: An error that says what is wrong with the bytes.
    init(_ data: Data) throws {
        let stored = try JSONDecoder().decode(Stored.self, from: data)
        guard
            case .assign(_, let assignment)? = MessageToWorker(
                try WireMessage(frames: [[UInt8](stored.assignment)]))
        else { throw WorkerError("a record without an assignment") }
        let results = try stored.results.map { result in
            let message = InboundMessage(try WireMessage(frames: [[UInt8](result.message)]))
            guard case .message(let message, _) = message, let item = Undelivered(message, file: result.file) else {
                throw WorkerError("a record with a result of another kind")
            }
            guard item.attempt == assignment.attempt else {
                throw WorkerError("a record with a result of another attempt")
            }
            return item
        }
        self.init(assignment: assignment, resumptions: max(0, stored.resumptions), results: results)
    }
}

extension Undelivered {
    /// nil for a message that no record keeps.
    fileprivate init?(_ message: MessageToCoordinator, file: String?) {
        switch (message, file) {
        case (.offer(let offer), let file?):
            self.init(id: offer.transferID, attempt: offer.attempt, content: .artifact(offer, file: file))
        case (.finish(let attempt, let id, let completion), nil):
            self.init(id: id, attempt: attempt, content: .finish(completion))
        case (.fail(let attempt, let id, let failure), nil):
            self.init(id: id, attempt: attempt, content: .fail(failure))
        default: return nil
        }
    }
}
