@testable import ClusterCore

/// The coordinator's disk. A crash loses everything that was written but not synced. Rows are as in `JobStore`, files
/// as in `ArtifactStore`.
struct SimulatedStore {
    struct ArtifactKey: Hashable {
        var kind: ArtifactRole
        var iteration: Int
    }

    struct Rows {
        var jobs: [JobID: Job] = [:]
        /// Numbers of deleted jobs are never used again.
        var lastSequence: Int64 = 0
        var attempts: [JobID: [Int: Attempt]] = [:]
        var artifacts: [JobID: [ArtifactKey: Artifact]] = [:]
        var workers: [String: RecordedCluster.Worker] = [:]
        var reports: [JobID: String] = [:]
        /// Workers' log lines. Keys recognise repeated lines as in `ChangeWriter`.
        var logs: [JobID: [LogKey: String]] = [:]
        /// Sabotage: forgets that a worker's next process restarts its request numbers.
        var logsForgetSessions = false
    }

    struct LogKey: Hashable {
        var attempt: Int
        var session: UInt64
        var request: UInt64
        var line: Int
    }

    init(logsForgetSessions: Bool = false) {
        rows.logsForgetSessions = logsForgetSessions
        synced = rows
    }

    /// How many times a line is stored.
    func count(of line: String, in job: JobID) -> Int { rows.logs[job]?.values.count { $0 == line } ?? 0 }

    /// The rows that readers see.
    private(set) var rows = Rows()
    /// The rows that survive a crash.
    private var synced = Rows()
    /// Files that have their names.
    private(set) var files: Set<String> = []
    /// Files that keep their names after a crash, because their folder is synced.
    private var syncedFiles: Set<String> = []

    mutating func write(_ changes: [Change]) {
        for change in changes { rows.apply(change) }
    }

    mutating func sync() { synced = rows }
    mutating func crash() {
        rows = synced
        files = syncedFiles
    }

    /// Files with damaged bytes of the right size.
    private var rotten: Set<String> = []

    mutating func addFile(_ sha256: String) {
        files.insert(sha256)
        rotten.remove(sha256)
    }
    mutating func syncFile(_ sha256: String) {
        if files.contains(sha256) { syncedFiles.insert(sha256) }
    }
    mutating func rot(_ sha256: String) { rotten.insert(sha256) }
    func isIntact(_ artifact: Artifact) -> Bool { contains(artifact) && !rotten.contains(artifact.sha256) }
    mutating func setAside(_ sha256: String) {
        files.remove(sha256)
        syncedFiles.remove(sha256)
        rotten.remove(sha256)
    }

    /// Files that the janitor finds.
    var unreferenced: [String] {
        let named = Set(rows.artifacts.values.flatMap { $0.values.map(\.sha256) })
        return files.subtracting(named).sorted()
    }
    /// What workers fetch: checkpoints, and exemplars with all their files. So an exemplar is as likely to be chosen as a
    /// checkpoint, however many maps it has.
    var inputs: [[String]] {
        rows.artifacts.values.flatMap { row in
            let checkpoints = row.filter { $0.key.kind == .checkpoint }.map { [$0.value.sha256] }
            let exemplar = Set(row.filter { $0.key.kind.isSubmitted }.map(\.value.sha256)).sorted()
            return checkpoints + (exemplar.isEmpty ? [] : [exemplar])
        }.sorted { $0.lexicographicallyPrecedes($1) }
    }

    func contains(_ artifact: Artifact) -> Bool {
        files.contains(artifact.sha256) && artifact.sizeBytes == Content.sizeBytes
    }

    /// Whether the file exists and survives a crash.
    func isSafe(_ artifact: Artifact) -> Bool { contains(artifact) && syncedFiles.contains(artifact.sha256) }

    /// Removes a file that no row names.
    mutating func discard(_ sha256: String) {
        guard !rows.artifacts.values.contains(where: { $0.values.contains { $0.sha256 == sha256 } }) else { return }
        setAside(sha256)
    }

    /// The records that a starting coordinator reads.
    func load() -> RecordedCluster {
        var recorded = RecordedCluster()
        recorded.jobs = rows.jobs.values.map(rows.complete).sorted { $0.id < $1.id }
        recorded.workers = rows.workers.values.sorted { $0.identity.id < $1.identity.id }
        recorded.nextSequence = rows.lastSequence + 1
        return recorded
    }
}

extension SimulatedStore.Rows {
    /// A job with its newest attempt and its checkpoints.
    func complete(_ stored: Job) -> Job {
        var job = stored
        job.attempt = attempts[job.id]?.max { $0.key < $1.key }?.value
        job.checkpoints =
            (artifacts[job.id] ?? [:]).filter { $0.key.kind == .checkpoint }
            .map { StoredCheckpoint(iteration: $0.key.iteration, artifact: $0.value) }
            .sorted { $0.iteration < $1.iteration }
        return job
    }

    fileprivate mutating func apply(_ change: Change) {
        switch change {
        case .job(let job):
            for (position, input) in job.inputs.enumerated() {
                let kind = input.map != nil ? .map : ArtifactRole(rawValue: input.name) ?? .exemplar
                artifacts[job.id, default: [:]][.init(kind: kind, iteration: kind == .map ? position : 0)] =
                    input.artifact
            }
            lastSequence = max(lastSequence, job.id.sequence)
            if jobs[job.id]?.state == .finished { return }
            jobs[job.id] = job
        case .attempt(let id, let attempt): attempts[id, default: [:]][attempt.number] = attempt
        case .artifact(let id, let kind, let iteration, let artifact):
            artifacts[id, default: [:]][.init(kind: kind, iteration: iteration)] = artifact
        case .artifactDropped(let id, let kind, let iteration):
            artifacts[id]?[.init(kind: kind, iteration: iteration)] = nil
        case .worker(let identity, let session, let isDraining, _):
            workers[identity.id] = .init(identity: identity, session: session, isDraining: isDraining)
        case .report(let id, _, let json): reports[id] = json
        case .jobDeleted(let id):
            (jobs[id], attempts[id], artifacts[id], reports[id], logs[id]) = (nil, nil, nil, nil, nil)
            for other in jobs.keys { jobs[other]?.awaited.removeAll { $0.job == id } }
        case .log(let id, let attempt, let session, let request, let lines):
            for (index, line) in lines.enumerated() {
                let key = SimulatedStore.LogKey(
                    attempt: attempt, session: logsForgetSessions ? 0 : session, request: request, line: index)
                if logs[id]?[key] == nil { logs[id, default: [:]][key] = line.message }
            }
        default: break
        }
    }
}
