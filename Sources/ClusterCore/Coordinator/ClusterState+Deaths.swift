/// A worker's deaths in a row. In each, a process ended with the jobs that it ran, before a checkpoint of any of them.
/// Counted by worker, because each process has a session of its own.
struct WorkerDeaths: Sendable, Equatable {
    /// What the process that died last said in its HELLO.
    var worker: WorkerIdentity
    var count = 0
    /// Jobs that were lost in every death. Each may be what kills the worker.
    var inAll: Set<JobID> = []
    /// All jobs that were lost in these deaths.
    var jobs: Set<JobID> = []
    var last: Instant
    /// How often the worker had to rest; 0: it is not blamed.
    var rests = 0
    var restsUntil: Instant

    /// Whether the worker, and not one of its jobs, counts as the cause.
    var isBlamed: Bool { rests > 0 }

    var rest: Duration {
        min(ClusterState.restRange.lowerBound * (1 << min(max(0, rests - 1), 20)), ClusterState.restRange.upperBound)
    }
}

// Workers that die with every job they get.
extension ClusterState {
    /// A process of the worker ended, and with it attempts at these jobs. None of them had reached a checkpoint.
    ///
    /// A job that is lost every time may be the cause, and its own losses count. If no job is lost every time, the
    /// worker is the cause. It rests, then gets one job at a time until it delivers a checkpoint or a result. Its
    /// deaths then do not count against its jobs.
    mutating func countDeath(of worker: WorkerIdentity, with jobs: Set<JobID>, at now: Instant) {
        var record = deaths[worker.id] ?? WorkerDeaths(worker: worker, last: now, restsUntil: now)
        record.worker = worker
        record.inAll = record.count == 0 ? jobs : record.inAll.intersection(jobs)
        record.jobs.formUnion(jobs.sorted().prefix(max(0, Self.maxDeathJobs - record.jobs.count)))
        record.count += 1
        record.last = now
        let isExplained = !record.inAll.isEmpty || record.count < Self.deathsOfBlamed
        if record.isBlamed || !isExplained {
            record.rests += 1
            record.restsUntil = now + record.rest
        }
        deaths[worker.id] = record
        if record.isBlamed { blame(record) }
        guard deaths.count > Self.maxDeathRecords,
            let oldest = deaths.min(by: { ($0.value.last, $0.key) < ($1.value.last, $1.key) })
        else { return }
        deaths[oldest.key] = nil
    }

    private mutating func blame(_ record: WorkerDeaths) {
        let worker = record.worker
        for job in doubts.jobs { doubts[job].lossesInARow.removeAll { $0 == worker.id } }
        effects.append(
            .warn(
                "\(worker.name) died \(record.count) times in a row, with \(record.jobs.count) different jobs and "
                    + "before a checkpoint of any: it gets no work for \(Int(record.rest.inSeconds)) s, then one job "
                    + "to prove itself. The jobs wait for other workers at no cost. The log of \(worker.name) may show "
                    + "the cause"))
        guard record.rests == 1 else { return }
        for id in record.jobs.sorted() {
            guard var job = job(id), job.state == .queued else { continue }
            job.reason = Self.blameless(worker.name)
            putAndRecord(job)
            note(id, level: .warning, job.reason!)
        }
    }

    static func blameless(_ worker: String) -> String {
        "was lost with \(worker), which dies with every job it gets; this does not count against the job"
    }

    package func isResting(_ workerID: String, at now: Instant) -> Bool {
        deaths[workerID].map { $0.isBlamed && now < $0.restsUntil } ?? false
    }

    /// The worker has delivered a checkpoint or a result.
    mutating func prove(_ workerID: String) {
        guard let record = deaths.removeValue(forKey: workerID), record.isBlamed else { return }
        effects.append(.warn("\(record.worker.name) has delivered a checkpoint or a result: it gets work as usual"))
    }

    /// With another build, other slots or more memory, the cause of the deaths may be gone.
    mutating func forgetDeaths(ifNewTo worker: WorkerIdentity) {
        guard var before = deaths[worker.id]?.worker else { return }
        before.name = worker.name
        if before != worker { deaths[worker.id] = nil }
    }

    // MARK: Explanations for people

    /// Why a worker gets no work, or cannot run some of the waiting jobs; nil if nothing is wrong.
    package func problem(ofWorker id: String) -> String? {
        if let record = deaths[id], record.isBlamed {
            return
                "died \(record.count) times in a row, with \(record.jobs.count) different jobs and before a "
                + "checkpoint of any: it rests \(Int(record.rest.inSeconds)) s, then gets one job at a time until it "
                + "delivers a checkpoint. Its log may show the cause"
        }
        guard let session = sessionOfWorker[id].flatMap({ sessions[$0] }) else { return nil }
        if session.failedJobs.count >= Self.failuresOfBarred {
            return
                "\(session.failedJobs.count) different jobs in a row failed on it and on no other worker: it gets "
                + "none while others ask for work"
        }
        if let reservation, reservation.session == session.session, let job = job(reservation.job),
            job.state == .queued, isSuspect(job.id)
        {
            return
                "takes no further job until it is idle: then it runs \(job.name) (\(job.id)) alone, which was lost "
                + "\(doubts[job.id].lossesInARow.count) times in a row before a checkpoint"
        }
        let lacks = Set(largestDemands.compactMap(session.worker.lack)).sorted()
        return lacks.isEmpty ? nil : "cannot run some of the waiting jobs: it " + lacks.joined(separator: "; it ")
    }

    /// Of the queued jobs' demands that differ only in memory, the one for the most.
    private var largestDemands: [Demand] {
        func withoutMemory(_ demand: Demand) -> Demand {
            Demand(kind: demand.kind, needs: JobNeeds(weights: demand.needs.weights))
        }
        let largest = Dictionary(queuedDemands.keys.map { (withoutMemory($0), $0) }) { a, b in
            a.needs.memoryBytes < b.needs.memoryBytes ? b : a
        }
        return Array(largest.values)
    }

    /// Why a queued job waits although workers may be free; nil if it waits for its turn only.
    package func obstacle(to job: Job) -> String? {
        if let obstacle = obstacle(to: job.demand) { return obstacle }
        guard isSuspect(job.id) else { return nil }
        let losses = doubts[job.id].lossesInARow.count
        return "waits for a worker without other work, because it was lost \(losses) times in a row before a "
            + "checkpoint" + (job.reason.map { "; \($0)" } ?? "")
    }

    /// Why no connected worker can run a job with this demand; nil if a worker can, or if none is connected.
    package func obstacle(to demand: Demand) -> String? {
        guard demand != Demand() else { return nil }
        let present = sessions.values.filter { $0.isAttached && !$0.isDraining }.map(\.worker)
        let lacks = present.compactMap { worker in worker.lack(of: demand).map { "\(worker.name) \($0)" } }.sorted()
        guard !present.isEmpty, lacks.count == present.count else { return nil }
        let more = lacks.count > 3 ? ", and \(lacks.count - 3) more" : ""
        return "no connected worker can run it: " + lacks.prefix(3).joined(separator: ", ") + more
    }
}

extension WorkerIdentity {
    /// The memory of each slot; without limit if the worker does not announce it.
    var memoryLimit: Int {
        guard let bytes = equipment?.memoryBytes, bytes > 0 else { return .max }
        return bytes
    }

    /// What the worker lacks, in words that follow its name. nil if it fits, or if it does not announce its equipment.
    package func lack(of demand: Demand) -> String? {
        guard kinds.contains(demand.kind) else {
            return "does not do \(demand.kind.words) (its version is \(softwareVersion))"
        }
        guard let equipment else { return nil }
        let needs = demand.needs
        let missing = needs.weights.filter { !equipment.weights.contains($0) }
        guard missing.isEmpty else {
            return
                "lacks the weights \(missing.joined(separator: " and ")) ('texloom weights' installs them; then "
                + "restart it)"
        }
        guard memoryLimit < needs.memoryBytes else { return nil }
        return
            "has \(memoryLimit >> 20) MiB of memory per slot, \(needs.memoryBytes >> 20) are needed (with "
            + "fewer --slots each has more)"
    }
}
