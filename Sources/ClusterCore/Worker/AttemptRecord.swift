/// The part of an attempt that outlives the worker's process: the assignment, and the results that the coordinator does
/// not have yet. The attempt's folder holds the record while there are such results.
package struct AttemptRecord: Equatable, Sendable {
    /// Names the checkpoint that training resumes from. After a restart it is one of this worker's own.
    package var assignment: Assignment
    /// How many processes have resumed from this checkpoint without reaching another.
    package var resumptions = 0
    /// Artifacts in the order of their delivery, then FINISH or FAIL if the attempt has ended.
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
    /// Whether all inputs are intact as well.
    package var canTrain: Bool

    package init(record: AttemptRecord, canTrain: Bool) {
        self.record = record
        self.canTrain = canTrain
    }
}
