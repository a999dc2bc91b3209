// What workers send and fetch.
extension ClusterState {
    /// Records metrics and log lines of the running attempt, and of one that has just ended: its last lines say why.
    mutating func report(
        _ session: UInt64, _ reference: AttemptReference, _ id: UInt64, _ change: Change, at now: Instant
    ) {
        guard hear(session, at: now) else { return }
        switch standing(of: reference, session: session, at: now) {
        case .current, .ended(.finished), .ended(.failed), .ended(.handedBack):
            if let lease = leases[reference.job], lease.attempt == reference {
                leases[reference.job]!.expires = max(lease.expires, now + configuration.lease)
                // A trainer that reports something does not hang, even while a large snapshot makes its iteration long.
                leases[reference.job]!.progressed = now
            }
            effects.append(.record(change))
            acknowledge(session, id, .ok)
        case let other: refuse(session, id, reference, other)
        }
    }

    mutating func offered(_ session: UInt64, _ offer: ArtifactOffer, _ isStored: Bool, at now: Instant) {
        guard runningJob(offer.attempt, session: session, answering: offer.transferID, at: now) != nil else { return }
        touch(offer.attempt, at: now)
        if offer.role.isSubmitted {
            acknowledge(session, offer.transferID, .malformed, "exemplars are submitted, not offered by workers")
        } else if offer.artifact.sizeBytes > configuration.maxArtifactBytes || offer.artifact.sizeBytes <= 0 {
            let message =
                "an artifact has 1...\(configuration.maxArtifactBytes) bytes; "
                + "this one has \(offer.artifact.sizeBytes)"
            acknowledge(session, offer.transferID, .tooLarge, message)
        } else if isStored {
            stored(session, offer, at: now)
        } else {
            effects.append(.receiveArtifact(offer, session: session))
        }
    }

    mutating func stored(_ session: UInt64, _ offer: ArtifactOffer, at now: Instant) {
        guard hear(session, at: now) else { return }
        let standing = standing(of: offer.attempt, session: session, at: now)
        guard standing == .current, var job = job(offer.attempt.job) else {
            effects.append(.discard(sha256: offer.artifact.sha256))
            return refuse(session, offer.transferID, offer.attempt, standing)
        }
        touch(offer.attempt, at: now)
        effects.append(.record(.artifact(job.id, offer.role, iteration: offer.iteration, offer.artifact)))
        if offer.role == .checkpoint {
            keep(StoredCheckpoint(iteration: offer.iteration, artifact: offer.artifact), of: &job)
            putAndRecord(job)
        } else if configuration.contracts[job.kind]?.products.contains(offer.role) == true {
            let before = job.products.updateValue(offer.artifact, forKey: offer.role)
            if let before, before.sha256 != offer.artifact.sha256 { effects.append(.discard(sha256: before.sha256)) }
            putAndRecord(job)
        }
        effects.append(
            .send(.artifactReceipt(transferID: offer.transferID, sha256: offer.artifact.sha256), to: session))
    }

    /// Adds a checkpoint and drops the oldest ones beyond ``checkpointsKept``.
    private mutating func keep(_ checkpoint: StoredCheckpoint, of job: inout Job) {
        if let same = job.checkpoints.firstIndex(where: { $0.iteration == checkpoint.iteration }) {
            let before = job.checkpoints.remove(at: same)
            if before.artifact.sha256 != checkpoint.artifact.sha256 {
                effects.append(.discard(sha256: before.artifact.sha256))
            }
        }
        let place = job.checkpoints.firstIndex { $0.iteration > checkpoint.iteration } ?? job.checkpoints.endIndex
        job.checkpoints.insert(checkpoint, at: place)
        while job.checkpoints.count > Self.checkpointsKept {
            let oldest = job.checkpoints.removeFirst()
            effects.append(.record(.artifactDropped(job.id, .checkpoint, iteration: oldest.iteration)))
            effects.append(.discard(sha256: oldest.artifact.sha256))
        }
        doubts[job.id].lossesInARow = []
        if let worker = job.attempt?.workerID { prove(worker) }
        job.iteration = job.resumeIteration
        if let lease = leases[job.id], lease.secondsPerIteration > 0 {
            job.secondsPerIteration = lease.secondsPerIteration
        }
    }

    mutating func requested(_ session: UInt64, _ request: ArtifactRequest, at now: Instant) {
        guard var job = runningJob(request.attempt, session: session, answering: request.transferID, at: now) else {
            return
        }
        // A request alone is no progress: the worker repeats it for as long as the coordinator cannot serve it.
        extend(request.attempt, at: now)
        let offered = job.inputs.map(\.artifact) + job.checkpoints.map(\.artifact)
        if let artifact = offered.first(where: { $0.sha256 == request.artifact.sha256 }) {
            effects.append(.sendArtifact(request, artifact, session: session))
        } else if job.resumeIteration < (job.attempt?.startIteration ?? 0) {
            // `texloom coordinator --check --repair` has given the checkpoint up while the coordinator was stopped.
            end(&job, .handedBack, reason: "its checkpoint is gone")
            requeue(&job, reason: "continues without the checkpoint that attempt \(request.attempt.number) was given")
            acknowledge(
                session, request.transferID, .leaseLost,
                "the checkpoint is gone; the coordinator assigns the job again without it")
            dispatch(at: now)
        } else {
            acknowledge(
                session, request.transferID, .unknownArtifact,
                "\(request.artifact.sha256) is not an input or checkpoint of \(job.id)")
        }
    }

    // MARK: Damage

    /// The file that a worker asked for is gone or damaged. The attempt ends at no cost. If the file was a checkpoint,
    /// the job resumes from the previous one. If it was an input, the job is held until a person sends the file again.
    mutating func damaged(_ session: UInt64, _ request: ArtifactRequest, _ reason: String, at now: Instant) {
        guard var job = runningJob(request.attempt, session: session, answering: request.transferID, at: now) else {
            return
        }
        if job.checkpoints.contains(where: { $0.artifact.sha256 == request.artifact.sha256 }) {
            fallBack(&job, without: request.artifact.sha256, reason)
            acknowledge(
                session, request.transferID, .leaseLost,
                "a checkpoint is damaged; the coordinator assigns the job again without it")
            return dispatch(at: now)
        }
        guard let input = job.inputs.first(where: { $0.artifact.sha256 == request.artifact.sha256 }) else { return }
        end(&job, .handedBack, reason: "its \(input.title) is damaged")
        job.state = .held
        let isProduct = job.awaited.contains { $0.name == input.name }
        let remedy = isProduct ? JobInput.remedyForProduct : "send the file again (texloom submit does)"
        job.reason = "the stored \(input.title) \(reason); \(remedy), then retry the job"
        putAndRecord(job)
        note(job.id, level: .error, "held: \(job.reason!)")
        acknowledge(session, request.transferID, .leaseLost, "the \(input.title) is damaged; the job is held")
        dispatch(at: now)
    }

    /// Whether the attempt was given a checkpoint. Without one it cannot have found it damaged, and fails like any other.
    func hasCheckpoint(_ reference: AttemptReference) -> Bool {
        guard let job = job(reference.job), let attempt = job.attempt else { return false }
        return attempt.startIteration > 0 || job.checkpoints.contains { $0.iteration == 0 }
    }

    /// A worker found its assigned checkpoint damaged, although the bytes are the stored ones. One worker alone could
    /// destroy the progress of all jobs, so another one has to find the same, if there is one that could do the job.
    mutating func checkpointRefused(
        _ session: UInt64, _ reference: AttemptReference, _ id: UInt64, _ reason: String, at now: Instant
    ) {
        guard
            var job = runningJob(reference, session: session, answering: id, repeats: [.handedBack, .failed], at: now)
        else { return }
        if let bad = job.checkpoints.first(where: { $0.iteration == job.attempt?.startIteration }) {
            weigh(bad, of: &job, refusedBy: sessions[session]!.worker, reason, at: now)
        } else {
            end(&job, .handedBack, reason: reason)
            requeue(&job, reason: "handed back: \(reason)")
        }
        acknowledge(session, id, .ok)
        dispatch(at: now)
    }

    /// Decides whether the running attempt's worker is believed.
    private mutating func weigh(
        _ bad: StoredCheckpoint, of job: inout Job, refusedBy worker: WorkerIdentity, _ reason: String, at now: Instant
    ) {
        let sha256 = bad.artifact.sha256
        let first = doubts[job.id].checkpoint.flatMap { $0.sha256 == sha256 ? $0.worker : nil }
        // The job comes back to the first worker only if no other was there to take it.
        let isConfirmed = first.map { $0.id == worker.id || $0.isAnother(than: worker) } ?? false
        guard !isConfirmed, hasAnother(than: worker, for: job, at: now) else {
            return fallBack(&job, without: sha256, reason)
        }
        let doubt = "\(worker.name) calls the checkpoint of iteration \(bad.iteration) damaged; another worker tries it"
        guard first == nil else {
            // The first worker under another name.
            end(&job, .failed, reason: reason)
            note(about: job, level: .warning, doubt)
            return chargeFailure(&job, reason: reason)
        }
        doubts[job.id].checkpoint = Doubts.Checkpoint(sha256: sha256, worker: worker)
        end(&job, .handedBack, reason: reason)
        requeue(&job, reason: doubt)
    }

    /// Ends the running attempt. The job resumes from the newest checkpoint that is left.
    private mutating func fallBack(_ job: inout Job, without sha256: String, _ reason: String) {
        for bad in job.checkpoints where bad.artifact.sha256 == sha256 {
            effects.append(.record(.artifactDropped(job.id, .checkpoint, iteration: bad.iteration)))
            note(about: job, level: .warning, "the checkpoint of iteration \(bad.iteration) \(reason)")
        }
        job.checkpoints.removeAll { $0.artifact.sha256 == sha256 }
        effects.append(.discard(sha256: sha256))
        end(&job, .handedBack, reason: "its checkpoint is damaged")
        let from = job.checkpoints.last.map { "from iteration \($0.iteration)" } ?? "from the start"
        requeue(&job, reason: "continues \(from): the newest checkpoint is damaged")
    }
}
