import Foundation
import Protocol

/// What of an attempt outlives its worker's process: its assignment, and the results that the coordinator does not have
/// yet. Kept in the attempt's folder while there are any.
public struct AttemptRecord: Equatable, Sendable {
    /// With the checkpoint that training goes on from, which after a restart is one of this worker's own.
    var assignment: WireAssign
    /// How many processes have gone on from the same checkpoint without coming to another.
    var resumptions = 0
    /// Artifacts in the order of their delivery, and a last word that does not depend on the process.
    var results: [Undelivered]

    var ref: WireAttemptRef { assignment.attempt }
}

/// A record as a new process finds it.
public struct RecoveredAttempt: Equatable, Sendable {
    /// Without the artifacts whose files are gone.
    var record: AttemptRecord
    /// Whether the exemplar is there, too.
    var canTrain: Bool
}

extension Undelivered {
    /// A hand-back speaks for a process that ends; the next one may go on.
    var outlivesItsProcess: Bool {
        if case .handBack = content { false } else { !isReport }
    }

    /// The same under another id.
    func numbered(_ id: UInt64) -> Undelivered {
        var item = self
        item.id = id
        switch content {
        case .artifact(var offer, let file):
            offer.transferID = id
            item.content = .artifact(offer, file: file)
        case .finish(var finish):
            finish.requestID = id
            item.content = .finish(finish)
        case .fail(var fail):
            fail.requestID = id
            item.content = .fail(fail)
        case .metrics, .log, .handBack: break
        }
        return item
    }
}

// MARK: As a file

extension AttemptRecord {
    /// Messages are kept as they go over the wire, so that their limits and their rules of change are the wire's.
    private struct Stored: Codable {
        struct Result: Codable {
            var message: Data
            var file: String?
        }
        var resumptions: Int
        var assignment: Data
        var results: [Result]
    }

    /// The session of a kept message means nothing.
    private static func pack(_ body: WireMessage.Body) throws -> Data {
        Data(try WireMessage(body, session: 1).frames()[0])
    }

    func encoded() throws -> Data {
        let results = try results.map { item -> Stored.Result in
            let file: String? = if case .artifact(_, let file) = item.content { file } else { nil }
            return Stored.Result(message: try Self.pack(item.body), file: file)
        }
        return try JSONEncoder().encode(
            Stored(resumptions: resumptions, assignment: Self.pack(.assign(assignment)), results: results))
    }

    /// - Throws: what is wrong with the bytes.
    init(_ data: Data) throws {
        let stored = try JSONDecoder().decode(Stored.self, from: data)
        guard case .assign(let assignment)? = try WireMessage(frames: [[UInt8](stored.assignment)]).body else {
            throw WorkerError("a record without an assignment")
        }
        self.assignment = assignment
        resumptions = max(0, stored.resumptions)
        results = try stored.results.map { result in
            let content: Undelivered.Content
            let id: UInt64
            switch (try WireMessage(frames: [[UInt8](result.message)]).body, result.file) {
            case (.artifactOffer(let offer)?, let file?):
                (content, id) = (.artifact(offer, file: file), offer.transferID)
            case (.finish(let finish)?, nil): (content, id) = (.finish(finish), finish.requestID)
            case (.fail(let fail)?, nil): (content, id) = (.fail(fail), fail.requestID)
            default: throw WorkerError("a record with a result of another kind")
            }
            guard content.attempt == assignment.attempt else {
                throw WorkerError("a record with a result of another attempt")
            }
            return Undelivered(id: id, content: content)
        }
    }
}

extension Undelivered.Content {
    var attempt: WireAttemptRef {
        switch self {
        case .metrics(let batch): batch.attempt
        case .log(let batch): batch.attempt
        case .artifact(let offer, _): offer.attempt
        case .finish(let finish): finish.attempt
        case .fail(let fail): fail.attempt
        case .handBack(let handBack): handBack.attempt
        }
    }
}
