import Protocol

// What workers send and fetch.
extension ClusterState {
    /// Metrics and log lines: recorded for the running attempt, and for one that has just ended, whose last lines say
    /// why.
    mutating func report(
        _ session: UInt64, _ reference: AttemptReference, _ id: UInt64, _ change: Change, at now: Instant
    ) {
        guard hear(session, at: now) else { return }
        switch standing(of: reference, session: session, at: now) {
        case .current, .ended(.finished), .ended(.failed), .ended(.handedBack):
            if let lease = leases[reference.job], lease.attempt == reference {
                leases[reference.job]!.expires = max(lease.expires, now + configuration.lease)
            }
            effects.append(.record(change))
            acknowledge(session, id, .ok)
        case let other: refuse(session, id, other)
        }
    }

    mutating func offered(_ session: UInt64, _ offer: ArtifactOffer, _ isStored: Bool, at now: Instant) {
        guard hear(session, at: now) else { return }
        switch standing(of: offer.attempt, session: session, at: now) {
        case .current:
            touch(offer.attempt, at: now)
            if offer.kind == .exemplar {
                acknowledge(session, offer.transferID, .malformed, "exemplars are submitted, not offered by workers")
            } else if offer.artifact.sizeBytes > configuration.maxArtifactBytes || offer.artifact.sizeBytes <= 0 {
                let message =
                    "an artifact has 1...\(configuration.maxArtifactBytes) bytes, "
                    + "this one \(offer.artifact.sizeBytes)"
                acknowledge(session, offer.transferID, .tooLarge, message)
            } else if isStored {
                stored(session, offer, at: now)
            } else {
                effects.append(.receiveArtifact(offer, session: session))
            }
        case let other: refuse(session, offer.transferID, other)
        }
    }

    mutating func stored(_ session: UInt64, _ offer: ArtifactOffer, at now: Instant) {
        guard hear(session, at: now) else { return }
        let standing = standing(of: offer.attempt, session: session, at: now)
        guard standing == .current, var job = job(offer.attempt.job) else {
            effects.append(.discard(sha256: offer.artifact.sha256))
            return refuse(session, offer.transferID, standing)
        }
        touch(offer.attempt, at: now)
        effects.append(.record(.artifact(job.id, offer.kind, iteration: offer.iteration, offer.artifact)))
        switch offer.kind {
        case .checkpoint: keep(Checkpoint(iteration: offer.iteration, artifact: offer.artifact), of: &job)
        case .generator:
            replaceProduct(job.generatorSHA256, by: offer)
            job.generatorSHA256 = offer.artifact.sha256
        case .discriminator:
            replaceProduct(job.discriminatorSHA256, by: offer)
            job.discriminatorSHA256 = offer.artifact.sha256
        case .snapshot, .exemplar: break
        }
        if offer.kind != .snapshot { putAndRecord(job) }
        effects.append(
            .send(.artifactReceipt(transferID: offer.transferID, sha256: offer.artifact.sha256), to: session))
    }

    private mutating func replaceProduct(_ before: String?, by offer: ArtifactOffer) {
        if let before, before != offer.artifact.sha256 { effects.append(.discard(sha256: before)) }
    }

    /// Adds a checkpoint and lets the oldest go when there are more than are kept.
    private mutating func keep(_ checkpoint: Checkpoint, of job: inout Job) {
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
        job.iteration = job.checkpoints.last!.iteration
        if let lease = leases[job.id], lease.secondsPerIteration > 0 {
            job.secondsPerIteration = lease.secondsPerIteration
        }
    }

    mutating func requested(_ session: UInt64, _ request: ArtifactRequest, at now: Instant) {
        guard hear(session, at: now) else { return }
        let standing = standing(of: request.attempt, session: session, at: now)
        guard standing == .current, let job = job(request.attempt.job) else {
            return refuse(session, request.transferID, standing)
        }
        touch(request.attempt, at: now)
        let offered = [job.exemplar] + job.checkpoints.map(\.artifact)
        if let artifact = offered.first(where: { $0.sha256 == request.sha256 }) {
            effects.append(.sendArtifact(request, artifact, session: session))
        } else {
            acknowledge(
                session, request.transferID, .unknownArtifact,
                "\(request.sha256) is no exemplar or checkpoint of \(job.id)")
        }
    }
}
