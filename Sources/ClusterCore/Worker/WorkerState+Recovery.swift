/// What a worker's earlier process left, and what this one leaves for the next.
extension WorkerState {
    /// How many processes may resume from one checkpoint. Then the worker hands the attempt back, because the attempt
    /// may be what ends them.
    static let maxResumptions = 3

    /// Claims the attempts that have a checkpoint or a final message for the coordinator. The coordinator may be away
    /// for hours, and then this training exists only here. The worker does not claim the others: the coordinator frees
    /// their jobs at once and counts the attempts as lost.
    mutating func recover(_ found: [RecoveredAttempt], at now: Instant) {
        // While the worker was reading its folder, it could not have had a job.
        idleSince = now
        for one in found.sorted(by: { $0.record.ref < $1.record.ref }) {
            let record = one.record
            let newest = record.results.last { $0.isArtifact(.checkpoint) }
            let hasEnded = record.results.last?.endsAttempt == true
            guard attempts[record.ref] == nil, hasEnded || newest != nil else {
                effects.append(.removeFolder(record.ref))
                continue
            }
            let hasFreeSlot = attempts.values.count { $0.phase == .training } < worker.slots
            var assignment = record.assignment
            if !hasEnded, one.canTrain, hasFreeSlot, record.resumptions < Self.maxResumptions,
                case .artifact(let offer, let file)? = newest?.content
            {
                assignment.checkpoint = StoredCheckpoint(iteration: offer.iteration, artifact: offer.artifact)
                // A run that had not ended makes its networks again, under the same names.
                var kept = record
                kept.results.removeAll { item in
                    guard item.isArtifact(.generator) || item.isArtifact(.discriminator),
                        case .artifact(_, let file) = item.content
                    else { return false }
                    effects.append(.removeFile(record.ref, file))
                    return true
                }
                var attempt = attempt(of: kept, assignment, at: now)
                attempt.phase = .training
                attempt.isResumed = true
                attempt.resumptions = record.resumptions + 1
                attempts[record.ref] = attempt
                effects.append(.start(assignment, from: file))
            } else {
                var attempt = attempt(of: record, assignment, at: now)
                attempt.phase = .ended
                if case .artifact(let offer, _)? = newest?.content { attempt.iteration = offer.iteration }
                if case .finish(let finish)? = record.results.last?.content { attempt.iteration = finish.iteration }
                attempts[record.ref] = attempt
                guard !hasEnded else { continue }
                let reason =
                    record.resumptions < Self.maxResumptions
                    ? "the restarted worker has no slot or no exemplar for it"
                    : "the worker ended \(record.resumptions + 1) times before the next checkpoint"
                giveBack(record.ref, reason, at: now)
            }
        }
    }

    private mutating func attempt(of record: AttemptRecord, _ assignment: Assignment, at now: Instant) -> HeldAttempt {
        var attempt = HeldAttempt(assignment: assignment, downloads: [], at: now)
        for item in record.results {
            attempt.results.items.append(item.numbered(makeID()))
            if case .artifact(let offer, _) = item.content {
                attempt.newest[offer.role] = offer.artifact.sha256
            }
        }
        return attempt
    }

    /// A checkpoint of this worker's own is unusable. The coordinator's checkpoint is another file, so the job resumes
    /// from that one at no cost.
    mutating func resumedInVain(_ reference: AttemptReference, _ reason: String, at now: Instant) {
        guard var attempt = attempts[reference] else { return }
        let bad = attempt.assignment.checkpoint?.artifact.sha256
        let isUnderWay = attempt.results.first?.isArtifact(.checkpoint) == true
        attempt.results.items.removeAll { item in
            guard case .artifact(let offer, let file) = item.content, offer.artifact.sha256 == bad else { return false }
            effects.append(.removeFile(reference, file))
            return true
        }
        if isUnderWay {
            attempt.sender = nil
            attempt.results.retryAt = now
        }
        attempts[reference] = attempt
        giveBack(reference, "the checkpoint in its worker's folder cannot be used: \(reason)", at: now)
    }

    /// What the next process has to know about each attempt, if that has changed. These effects come before the effects
    /// that remove files. A missing file that a record names is therefore damage.
    mutating func remember() -> [Effect] {
        var records: [Effect] = []
        for reference in attempts.keys.sorted() {
            guard let attempt = attempts[reference] else { continue }
            let results = attempt.results.items.filter(\.outlivesItsProcess)
            let key = results.isEmpty ? [] : [UInt64(attempt.resumptions)] + results.map(\.id)
            guard key != attempt.remembered else { continue }
            attempts[reference]?.remembered = key
            records.append(
                .remember(
                    AttemptRecord(assignment: attempt.assignment, resumptions: attempt.resumptions, results: results)))
        }
        return records
    }
}
