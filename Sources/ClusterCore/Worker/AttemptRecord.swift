/// What of an attempt outlives its worker's process: its assignment, and the results that the coordinator does not have
/// yet. Kept in the attempt's folder while there are any.
package struct AttemptRecord: Equatable, Sendable {
    /// With the checkpoint that training goes on from, which after a restart is one of this worker's own.
    package var assignment: Assignment
    /// How many processes have gone on from the same checkpoint without coming to another.
    package var resumptions = 0
    /// Artifacts in the order of their delivery, and a last word that does not depend on the process.
    package var results: [Undelivered]

    package init(assignment: Assignment, resumptions: Int = 0, results: [Undelivered]) {
        self.assignment = assignment
        self.resumptions = resumptions
        self.results = results
    }

    package var ref: AttemptReference { assignment.attempt }
}

/// A record as a new process finds it.
package struct RecoveredAttempt: Equatable, Sendable {
    /// Without the artifacts whose files are gone.
    package var record: AttemptRecord
    /// Whether the exemplar is there, too.
    package var canTrain: Bool

    package init(record: AttemptRecord, canTrain: Bool) {
        self.record = record
        self.canTrain = canTrain
    }
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
        if case .artifact(var offer, let file) = content {
            offer.transferID = id
            item.content = .artifact(offer, file: file)
        }
        return item
    }
}
