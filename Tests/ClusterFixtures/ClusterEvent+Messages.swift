import ClusterCore

/// Short forms for workers' messages as events.
extension ClusterEvent {
    package static func hello(session: UInt64, worker: WorkerIdentity, running: [AttemptStatus]) -> ClusterEvent {
        .received(.hello(Hello(minVersion: 1, maxVersion: 2, worker: worker, running: running)), session: session)
    }

    package static func workRequest(session: UInt64, requestID: UInt64) -> ClusterEvent {
        .received(.workRequest(requestID: requestID, freeSlots: 1), session: session)
    }

    package static func heartbeat(
        session: UInt64, sequence: UInt64, running: [AttemptStatus], load: WorkerLoad? = nil
    ) -> ClusterEvent {
        .received(.heartbeat(sequence: sequence, freeSlots: 0, running: running, load: load), session: session)
    }

    package static func metrics(
        session: UInt64, _ attempt: AttemptReference, requestID: UInt64, _ block: MetricsBlock
    ) -> ClusterEvent {
        .received(.metrics(attempt, requestID: requestID, block), session: session)
    }

    package static func log(
        session: UInt64, _ attempt: AttemptReference, requestID: UInt64, _ lines: [LogLine]
    ) -> ClusterEvent {
        .received(.log(attempt, requestID: requestID, lines), session: session)
    }

    package static func artifactRequested(session: UInt64, _ request: ArtifactRequest) -> ClusterEvent {
        .received(.request(request), session: session)
    }

    package static func finish(
        session: UInt64, _ attempt: AttemptReference, requestID: UInt64, _ completion: Completion
    ) -> ClusterEvent {
        .received(.finish(attempt, requestID: requestID, completion), session: session)
    }

    package static func fail(
        session: UInt64, _ attempt: AttemptReference, requestID: UInt64, iteration: Int, reason: String,
        isRetryable: Bool
    ) -> ClusterEvent {
        let failure = Failure(
            code: FailureCode(rawValue: "notFinite"), reason: reason, iteration: iteration, isRetryable: isRetryable)
        return .received(.fail(attempt, requestID: requestID, failure), session: session)
    }

    package static func checkpointRefused(
        session: UInt64, _ attempt: AttemptReference, requestID: UInt64, reason: String
    ) -> ClusterEvent {
        let failure = Failure(code: .damagedCheckpoint, reason: reason, iteration: 0, isRetryable: true)
        return .received(.fail(attempt, requestID: requestID, failure), session: session)
    }

    package static func handBack(
        session: UInt64, _ attempt: AttemptReference, requestID: UInt64, iteration: Int, reason: String
    ) -> ClusterEvent {
        .received(.handBack(attempt, requestID: requestID, iteration: iteration, reason: reason), session: session)
    }

    package static func goodbye(session: UInt64, reason: String) -> ClusterEvent {
        .received(.goodbye(reason: reason), session: session)
    }
}

extension Submission {
    /// A training job.
    package init(
        name: String, fileName: String, exemplar: Artifact, recipeYAML: String, needs: JobNeeds = JobNeeds(),
        priority: Int, key: String?
    ) {
        let input = JobInput(name: JobInput.exemplar, artifact: exemplar, fileName: fileName)
        self.init(name: name, inputs: [input], spec: recipeYAML, needs: needs, priority: priority, key: key)
    }
}

extension Job {
    package var exemplar: Artifact { input(JobInput.exemplar)!.artifact }
}

extension ArtifactRequest {
    package init(attempt: AttemptReference, transferID: UInt64, sha256: String, offset: UInt64, windowChunks: UInt32) {
        self.init(
            attempt: attempt, transferID: transferID, artifact: Artifact(sha256: sha256, sizeBytes: 1000),
            offset: offset, windowChunks: windowChunks)
    }
}

extension Completion {
    /// The result of a training job.
    package init(
        iteration: Int, generatorSHA256: String, discriminatorSHA256: String, checkpointSHA256: String,
        trainingSeconds: Double, reportJSON: String
    ) {
        self.init(
            iteration: iteration,
            products: [
                .generator: generatorSHA256, .discriminator: discriminatorSHA256, .checkpoint: checkpointSHA256,
            ], trainingSeconds: trainingSeconds, reportJSON: reportJSON)
    }
}
