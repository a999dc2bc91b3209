// Jobs that wait for the products of others.
extension ClusterState {
    /// Notes whose products a job needs.
    mutating func follow(_ job: Job) {
        for source in Set(job.awaited.map(\.job)) { followers[source, default: []].append(job.id) }
    }

    /// Whether another job still needs a product of this one, also if that one is itself cancelled or blocked.
    func isAwaited(_ source: Job) -> Bool {
        (followers[source.id] ?? []).compactMap(job).contains { follower in
            follower.awaited.contains { awaited in
                awaited.job == source.id && !follower.inputs.contains { $0.name == awaited.name }
            }
        }
    }

    /// A job is to be deleted. Those that were made of its products have copies of the references, and become jobs like
    /// any other.
    mutating func forgetFollowers(of source: Job) {
        for id in followers.removeValue(forKey: source.id) ?? [] {
            guard var follower = job(id) else { continue }
            follower.awaited.removeAll { $0.job == source.id }
            put(follower)
        }
        for id in Set(source.awaited.map(\.job)) { followers[id]?.removeAll { $0 == source.id } }
    }

    /// How a submission waits for something that cannot come; nil if none does.
    func dependencyBreach(in submissions: [Submission]) -> String? {
        for (index, submission) in submissions.enumerated() {
            for awaited in submission.awaited {
                let kind: JobKind
                switch awaited.source {
                case .submission(let earlier):
                    guard (0..<index).contains(earlier) else {
                        return "job \(index) of the request waits for job \(earlier); expected an earlier one"
                    }
                    kind = submissions[earlier].kind
                case .job(let id):
                    guard let job = job(id) else { return "there is no job \(id) to wait for" }
                    kind = job.kind
                }
                // Each checkpoint replaces an earlier one, so a job cannot wait for it.
                guard awaited.role != .checkpoint,
                    configuration.contracts[kind]?.products.contains(awaited.role) == true
                else { return "a job of kind '\(kind)' makes no \(awaited.role.rawValue) that another could wait for" }
            }
        }
        return nil
    }

    /// Gives a job that nothing else holds back the state that its awaited jobs allow: queued with all inputs, waiting or
    /// blocked, with the reason.
    func place(_ job: inout Job) {
        let missing = job.awaited.filter { awaited in !job.inputs.contains { $0.name == awaited.name } }
        guard !missing.isEmpty else { return }
        let sources = missing.map { self.job($0.job) }
        if let obstacle = zip(missing, sources).lazy.compactMap({ self.obstacle($0, $1) }).first {
            job.state = .blocked
            job.reason = obstacle
        } else if let unfinished = sources.compactMap(\.self).first(where: { $0.state != .finished }) {
            job.state = .waiting
            job.reason = "waits for \(unfinished.resultName) (\(unfinished.id))"
        } else {
            job.state = .queued
            job.reason = nil
            for (awaited, source) in zip(missing, sources) {
                guard let source, let artifact = source.products[awaited.role] else { continue }
                let end = awaited.role.fileExtension.map { ".\($0)" } ?? ""
                job.inputs.append(
                    JobInput(name: awaited.name, artifact: artifact, fileName: awaited.role.rawValue + end))
            }
        }
    }

    /// Why an awaited input does not come until a person acts; nil if it is there or may come.
    private func obstacle(_ awaited: AwaitedInput, _ source: Job?) -> String? {
        // Only a damaged store lacks these.
        guard let source else { return "the job \(awaited.job), which it waits for, is not in the store" }
        guard source.state.isSettled else { return nil }
        let name = "\(source.resultName) (\(source.id))"
        guard source.state != .finished else {
            return source.products[awaited.role] == nil
                ? "\(name) has finished without its \(awaited.role.rawValue)" : nil
        }
        let verb =
            switch source.state {
            case .held: "is held"
            case .cancelled: "was cancelled"
            case .blocked: "is blocked"
            default: "has failed"
            }
        return "waits for \(name), which \(verb)\(source.reason.map { ": \($0)" } ?? "")"
    }

    /// A job has another state. What waits for it may start, has to wait again, or is blocked.
    mutating func noticeChange(of source: Job) {
        for id in followers[source.id] ?? [] {
            guard var job = job(id), job.state == .waiting || job.state == .blocked else { continue }
            let before = (job.state, job.reason)
            place(&job)
            guard before != (job.state, job.reason) else { continue }
            // It keeps its place in the queue, so that one exemplar's results are complete before the next ones begin.
            // Notices the followers of the follower, too.
            putAndRecord(job)
            switch job.state {
            case .queued:
                enqueue(job)
                note(id, "its inputs are there: \(source.resultName) (\(source.id)) has finished")
            case .blocked: note(id, level: .warning, "blocked: \(job.reason ?? "")")
            default: note(id, job.reason ?? "")
            }
        }
    }
}

extension Submission.Awaited {
    /// - Parameter earlier: The jobs of the request's earlier submissions.
    func resolved(_ earlier: [JobID]) -> AwaitedInput {
        switch source {
        case .submission(let index): AwaitedInput(name: name, job: earlier[index], role: role)
        case .job(let id): AwaitedInput(name: name, job: id, role: role)
        }
    }
}
