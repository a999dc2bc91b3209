// What people ask for.
extension ClusterState {
    mutating func submit(_ token: RequestToken, _ submissions: [Submission], _ salts: [UInt32], at now: Instant) {
        precondition(salts.count == submissions.count)
        if let conflict = contractBreach(in: submissions) ?? dependencyBreach(in: submissions)
            ?? keyConflict(in: submissions) ?? brokenOff(in: submissions)
        {
            return refuse(token, .conflict(conflict))
        }
        var accepted: [Reply.Accepted] = []
        for (submission, salt) in zip(submissions, salts) {
            if let job = keyedJob(of: submission) {
                accepted.append(acceptance(of: job, alreadyExisted: true))
            } else {
                let job = add(submission, after: accepted.map(\.id), salt: salt)
                accepted.append(acceptance(of: job, alreadyExisted: false))
            }
        }
        effects.append(.reply(token, .accepted(accepted)))
        dispatch(at: now)
    }

    /// How a submission breaks the contract of its kind of work; nil if none does.
    private func contractBreach(in submissions: [Submission]) -> String? {
        for submission in submissions {
            guard let contract = configuration.contracts[submission.kind] else {
                let known = configuration.contracts.keys.map(\.rawValue).sorted().joined(separator: ", ")
                return "'\(submission.kind)' is not a kind of work; expected \(known)"
            }
            let maps = submission.inputs.compactMap(\.map)
            guard maps.isEmpty || contract.takesMaps else { return "a job of kind '\(submission.kind)' takes no maps" }
            guard Set(maps).count == maps.count else {
                return "the maps are \(maps.joined(separator: ", ")); expected each of them once"
            }
            let inputs = submission.inputs.filter { $0.map == nil }.map(\.name) + submission.awaited.map(\.name)
            guard inputs.sorted() == contract.inputs.sorted() else {
                return "a job of kind '\(submission.kind)' takes the inputs "
                    + "\(contract.inputs.sorted().joined(separator: ", ")), not \(inputs.joined(separator: ", "))"
            }
        }
        return nil
    }

    /// The job that a repeated submission returns.
    func keyedJob(of submission: Submission) -> Job? { submission.key.flatMap { keys[$0] }.flatMap(job) }

    /// A key names one job for ever. Reusing it for another exemplar or recipe is a mistake, and the coordinator says
    /// so instead of guessing.
    private func keyConflict(in submissions: [Submission]) -> String? {
        var seen: [String: Submission] = [:]
        for submission in submissions {
            guard let key = submission.key else { continue }
            let job = keyedJob(of: submission)
            // What another job made for it does not count, also once that job is deleted.
            let names = submission.inputs.map(\.name)
            let inputs = job?.inputs.filter { names.contains($0.name) || $0.map != nil } ?? seen[key]?.inputs
            let spec = job?.spec ?? seen[key]?.spec
            if let inputs, let spec, !isSame(inputs, submission.inputs) || !isSame(spec, submission.spec) {
                return "the key '\(key)' belongs to a job with another exemplar or recipe"
                    + (job.map { " (\($0.id))" } ?? " in this request") + "; submit under a new key"
            }
            seen[key] = submission
        }
        return nil
    }

    /// Whether inputs are the same files by the same names. What people call the files does not count.
    func isSame(_ inputs: [JobInput], _ others: [JobInput]) -> Bool {
        inputs.map(\.name) == others.map(\.name) && inputs.map(\.artifact) == others.map(\.artifact)
    }

    /// Whether two specs have the same values. Their wording may differ.
    private func isSame(_ spec: String, _ other: String) -> Bool {
        spec == other || specValues(spec) == specValues(other)
    }

    /// - Parameter earlier: The jobs of the request's earlier submissions.
    private mutating func add(_ submission: Submission, after earlier: [JobID], salt: UInt32) -> Job {
        let source = submission.continues.flatMap(self.job)
        var job = Job(
            id: JobID(sequence: nextSequence, salt: salt), name: submission.name,
            resultName: claimResultName(for: submission.name), kind: submission.kind, key: submission.key,
            inputs: submission.inputs, awaited: submission.awaited.map { $0.resolved(earlier) }, spec: submission.spec,
            // A client may know better than a recipe what the finished job needed.
            needs: source.map { submission.needs.joined(with: $0.needs) } ?? submission.needs,
            priority: submission.priority, queueOrder: placeAtBack(), tags: submission.tags)
        nextSequence += 1
        if let key = job.key { keys[key] = job.id }
        let start = source?.checkpoints.last
        if let start {
            job.checkpoints = [start]
            job.iteration = start.iteration
        }
        follow(job)
        place(&job)
        putAndRecord(job)
        if let source, let start {
            effects.append(.record(.artifact(job.id, .checkpoint, iteration: start.iteration, start.artifact)))
            effects.append(.record(.metricsCopied(to: job.id, from: source.id)))
        }
        if job.state == .queued { enqueue(job) }
        let remark = source.map { "continues \($0.id) from iteration \(job.iteration)" } ?? job.reason
        note(job.id, remark.map { "accepted; \($0)" } ?? "accepted")
        return job
    }

    private func acceptance(of job: Job, alreadyExisted: Bool) -> Reply.Accepted {
        Reply.Accepted(
            id: job.id, name: job.name, resultName: job.resultName, state: job.state, alreadyExisted: alreadyExisted)
    }

    mutating func cancel(_ token: RequestToken, _ id: JobID, _ reason: String) {
        guard let job = job(id) else { return refuse(token, .noSuchJob) }
        guard job.state.canBeCancelled || job.state == .cancelled else {
            return refuse(token, .conflict("the job has already \(job.state.rawValue)"))
        }
        if job.state.canBeCancelled { cancel(job, reason) }
        effects.append(.reply(token, .job(id, .cancelled)))
    }

    /// Cancels a job that has not ended.
    @discardableResult
    mutating func cancel(_ waitingJob: Job, _ reason: String) -> Job {
        var job = waitingJob
        if job.state == .running, let reference = job.newestAttempt {
            if let lease = leases[job.id] {
                effects.append(.send(.cancel(reference, reason: reason), to: lease.session))
            }
            end(&job, .cancelled, reason: reason)
        }
        job.state = .cancelled
        job.reason = reason
        putAndRecord(job)
        note(job.id, "cancelled: \(reason)")
        return job
    }

    mutating func retry(_ token: RequestToken, _ id: JobID, at now: Instant) {
        guard let job = job(id) else { return refuse(token, .noSuchJob) }
        guard job.state != .finished else {
            let otherwise =
                job.kind == .train
                ? "'texloom continue', or a submission with 'continues', trains it for longer; another seed gives a "
                    + "variation" : "the same options would give the same files"
            return refuse(token, .conflict("the job has finished; \(otherwise)"))
        }
        if job.state == .blocked { return refuse(token, .conflict("\(job.reason ?? ""); retry that job instead")) }
        if job.state.canBeRetried { putBack(job) }
        effects.append(.reply(token, .job(id, self.job(id)?.state ?? job.state)))
        dispatch(at: now)
    }

    /// Puts a job that can be retried back into the queue.
    mutating func putBack(_ endedJob: Job) {
        var job = endedJob
        job.state = .queued
        job.reason = nil
        job.failures = 0
        job.avoidedWorkerIDs = []
        job.queueOrder = placeAtBack()
        place(&job)
        putAndRecord(job)
        if job.state == .queued { enqueue(job) }
        note(job.id, job.reason.map { "retried on request; \($0)" } ?? "put back into the queue on request")
    }

    /// A running job's priority counts once the job waits again.
    mutating func prioritise(_ token: RequestToken, _ id: JobID, _ priority: Int) {
        guard var job = job(id) else { return refuse(token, .noSuchJob) }
        guard job.state != .finished else {
            return refuse(token, .conflict("the job has finished; its priority no longer matters"))
        }
        if job.priority != priority {
            job.priority = priority
            putAndRecord(job)
            if job.state == .queued { enqueue(job) }
            note(id, "priority \(priority) on request")
        }
        effects.append(.reply(token, .job(id, job.state)))
    }

    mutating func drain(_ token: RequestToken, _ workerID: String) {
        guard let session = sessionOfWorker[workerID], sessions[session] != nil else {
            return refuse(token, .noSuchWorker)
        }
        if !sessions[session]!.isDraining {
            sessions[session]!.isDraining = true
            answerNoWork(session)
            recordWorker(session)
            effects.append(.send(.drain(reason: "asked by a person"), to: session))
        }
        effects.append(.reply(token, .draining(workerID: workerID)))
    }

    private mutating func refuse(_ token: RequestToken, _ refusal: Reply.Refusal) {
        effects.append(.reply(token, .refused(refusal)))
    }

    /// A folder name that no other job has: the job's name as a ``FileSystemName``, numbered from the second job on.
    /// Unique regardless of case, because some file systems ignore case.
    private mutating func claimResultName(for name: String) -> String {
        let base = FileSystemName.clean(name)
        var suffix = resultNames[base.lowercased()] ?? 1
        var candidate = suffix == 1 ? base : "\(base)-\(suffix)"
        while resultNames[candidate.lowercased()] != nil {
            suffix += 1
            candidate = "\(base)-\(suffix)"
        }
        resultNames[base.lowercased()] = suffix + 1
        if candidate != base { resultNames[candidate.lowercased()] = 2 }
        return candidate
    }
}
