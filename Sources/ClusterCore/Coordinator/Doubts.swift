/// What speaks against a job, but may be the fault of its workers.
struct Doubts: Sendable, Equatable {
    struct Checkpoint: Sendable, Equatable {
        var sha256: String
        var worker: WorkerIdentity
    }

    /// Ids of the workers that were lost in a row with the job before its next checkpoint. Workers that die with every
    /// job do not count.
    var lossesInARow: [String] = []
    /// The worker that called the job impossible, until another one agrees.
    var failure: WorkerIdentity?
    /// The checkpoint that a worker called damaged, until another one agrees.
    var checkpoint: Checkpoint?
}

/// The doubts of every job. Takes no memory for a job without doubts.
struct DoubtTable: Sendable {
    private var doubts: [JobID: Doubts] = [:]

    var jobs: some Sequence<JobID> { doubts.keys }
    var isEmpty: Bool { doubts.isEmpty }

    subscript(job: JobID) -> Doubts {
        get { doubts[job] ?? Doubts() }
        set { doubts[job] = newValue == Doubts() ? nil : newValue }
    }
}
