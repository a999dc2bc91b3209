/// Deaths of a worker in a row: processes that ended with what they ran, before a checkpoint of any of it. By worker,
/// because each of its processes is another session.
struct WorkerDeaths: Sendable, Equatable {
    /// As the process that died last introduced itself.
    var worker: WorkerIdentity
    var count = 0
    /// Jobs that were lost with every one of them: each may be what kills it.
    var inAll: Set<JobID> = []
    /// All that were lost with them.
    var jobs: Set<JobID> = []
    var last: Instant
    /// How often it was sent to rest; 0: nothing is held against it.
    var rests = 0
    var restsUntil: Instant

    /// Whether it, and not one of its jobs, is taken for the cause.
    var isBlamed: Bool { rests > 0 }

    var rest: Duration {
        min(ClusterState.restRange.lowerBound * (1 << min(max(0, rests - 1), 20)), ClusterState.restRange.upperBound)
    }
}

// Workers that die with whatever they are given.
extension ClusterState {
    /// A process of the worker ended, and with it attempts at these jobs, none of which had come to a checkpoint.
    ///
    /// One job that is lost every time may be the cause, and is looked after as such. Where none was, it is the worker:
    /// it rests, then gets one job at a time until it brings something, and nothing of that is held against its jobs.
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
        for id in fruitlessLosses.keys {
            fruitlessLosses[id]!.removeAll { $0 == worker.id }
            if fruitlessLosses[id]!.isEmpty { fruitlessLosses[id] = nil }
        }
        effects.append(
            .warn(
                "\(worker.name) died \(record.count) times in a row, with \(record.jobs.count) different jobs and "
                    + "before a checkpoint of any: it gets no work for \(Int(record.rest.inSeconds)) s, then one job to prove "
                    + "itself. The jobs wait for other workers and lose nothing. See what ends it in its log"))
        guard record.rests == 1 else { return }
        for id in record.jobs.sorted() {
            guard var job = job(id), job.state == .queued else { continue }
            job.reason = Self.blameless(worker.name)
            putAndRecord(job)
            note(id, level: "warning", job.reason!)
        }
    }

    static func blameless(_ worker: String) -> String {
        "was lost with \(worker), which dies with every job that it gets; that is not held against the job"
    }

    package func isResting(_ workerID: String, at now: Instant) -> Bool {
        deaths[workerID].map { $0.isBlamed && now < $0.restsUntil } ?? false
    }

    /// The worker has brought a checkpoint or a result.
    mutating func prove(_ workerID: String) {
        guard let record = deaths.removeValue(forKey: workerID), record.isBlamed else { return }
        effects.append(.warn("\(record.worker.name) has brought a checkpoint or a result: it gets work as before"))
    }

    /// Another build, other slots or more memory: what ended the processes before may be mended.
    mutating func forgetDeaths(ifNewTo worker: WorkerIdentity) {
        guard var before = deaths[worker.id]?.worker else { return }
        before.name = worker.name
        if before != worker { deaths[worker.id] = nil }
    }

    // MARK: What people are told

    /// Why a worker gets no work, or not all that waits.
    package func problem(ofWorker id: String) -> String? {
        if let record = deaths[id], record.isBlamed {
            return
                "died \(record.count) times in a row, with \(record.jobs.count) different jobs and before a "
                + "checkpoint of any: it rests \(Int(record.rest.inSeconds)) s after that, then gets one job at a time until it "
                + "brings one. See what ends it in its log"
        }
        guard let session = sessionOfWorker[id].flatMap({ sessions[$0] }) else { return nil }
        if session.failedJobs.count >= Self.failuresOfBarred {
            return
                "\(session.failedJobs.count) different jobs in a row failed on it and on no other: it gets none while other "
                + "workers ask for work"
        }
        let lacks = Set(queue.demands.compactMap(session.worker.lack)).sorted()
        return lacks.isEmpty ? nil : "cannot run some of the waiting jobs: it " + lacks.joined(separator: "; it ")
    }

    /// Why no connected worker can run a job of such demands; nil if one can, or none is connected.
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
    /// What it lacks, as the rest of a sentence about it; nil if it fits, or does not say what it has.
    package func lack(of demand: Demand) -> String? {
        guard kinds.contains(demand.kind) else {
            return "does not do work of the kind '\(demand.kind)' (its version is \(softwareVersion))"
        }
        guard let equipment else { return nil }
        let needs = demand.needs
        let missing = needs.weights.filter { !equipment.weights.contains($0) }
        guard missing.isEmpty else {
            return
                "lacks the weights \(missing.joined(separator: " and ")) ('texloom weights' installs them; then restart it)"
        }
        guard equipment.memoryBytes > 0, equipment.memoryBytes < needs.memoryBytes else { return nil }
        return
            "has \(equipment.memoryBytes >> 20) MiB of memory a slot, \(needs.memoryBytes >> 20) are needed (fewer --slots "
            + "have more each)"
    }
}
