import ClusterCore
import Foundation

/// What a message must satisfy besides being parsable. Both sides of the wire check the same.
extension WireMessage {
    func validate() throws(ProtocolError) {
        // HELLO states its own version range, so that the coordinator can say which side to upgrade.
        if case .hello? = envelope.body {
            guard envelope.version >= 1 else { throw .malformed("version 0") }
        } else if case .refusal? = envelope.body {
            // A refusal may come from any version: it is how a side learns of the mismatch.
        } else if !(ProtocolVersion.oldest...ProtocolVersion.newest).contains(envelope.version) {
            throw ProtocolError(.versionUnsupported, ProtocolVersion.mismatch(envelope.version))
        }
        guard envelope.session != 0 else { throw .malformed("session 0") }
        guard let body = envelope.body else { throw .malformed("envelope without a body that this version knows") }
        try validatePayload(of: body)
        try body.validate(version: envelope.version)
    }

    private func validatePayload(of body: Body) throws(ProtocolError) {
        guard case .artifactChunk(let chunk) = body else {
            guard payload == nil else { throw .malformed("payload on a message that takes none") }
            return
        }
        guard let payload else { throw .malformed("artifact chunk without payload") }
        // Only an empty artifact has an empty chunk.
        guard payload.count <= Limits.chunkBytes, !payload.isEmpty || (chunk.offset == 0 && chunk.last) else {
            throw .malformed("artifact chunk of \(payload.count) bytes; expected 1 to \(Limits.chunkBytes)")
        }
        guard chunk.offset <= Limits.maxArtifactBytes - UInt64(payload.count) else {
            throw .malformed("artifact chunk at offset \(chunk.offset); at most \(Limits.maxArtifactBytes)")
        }
    }
}

extension WireMessage.Body {
    func validate(version: UInt32) throws(ProtocolError) {
        switch self {
        case .hello(let hello): try hello.validate()
        case .workRequest(let request):
            try check(UInt64(request.freeSlots), atMost: UInt64(Limits.maxSlots), "free_slots")
        case .heartbeat(let beat):
            try check(UInt64(beat.freeSlots), atMost: UInt64(Limits.maxSlots), "free_slots")
            try check(running: beat.running)
            if beat.hasLoad { try beat.load.validate() }
        case .metrics(let batch): try batch.validate()
        case .log(let batch): try batch.validate()
        case .artifactOffer(let offer):
            try offer.attempt.validate()
            try offer.artifact.validate()
            try check(offer.iteration, atMost: Limits.maxIterations, "iteration")
            if version == 1 {
                guard ArtifactRole(offer.kind) != nil else { throw .malformed("offer of artifact kind \(offer.kind)") }
            } else {
                try check(role: offer.role)
            }
        case .finish(let finish): try finish.validate(version: version)
        case .fail(let fail):
            try fail.attempt.validate()
            try check(fail.reason, atMost: Limits.maxReasonBytes, "reason")
            try check(fail.code, atMost: Limits.maxNameBytes, "code")
            try check(fail.iteration, atMost: Limits.maxIterations, "iteration")
        case .handBack(let handBack):
            try handBack.attempt.validate()
            try check(handBack.reason, atMost: Limits.maxReasonBytes, "reason")
            try check(handBack.iteration, atMost: Limits.maxIterations, "iteration")
        case .goodbye(let goodbye): try check(goodbye.reason, atMost: Limits.maxReasonBytes, "reason")
        case .artifactChunk: break
        case .artifactCredit(let credit):
            try check(credit.nextOffset, atMost: Limits.maxArtifactBytes, "next_offset")
        case .artifactRequest(let request):
            try request.attempt.validate()
            try request.artifact.validate()
            try check(request.offset, atMost: request.artifact.sizeBytes, "offset")
        case .welcome(let welcome): try welcome.validate()
        case .helloAgain: break
        case .assign(let assign): try assign.validate(version: version)
        case .noWork: break
        case .heartbeatReply(let reply):
            try check(attempts: reply.cancelled)
            try check(attempts: reply.lost)
        case .artifactReceipt(let receipt): try check(digest: receipt.sha256)
        case .acknowledgement(let answer): try check(answer.message, atMost: Limits.maxReasonBytes, "message")
        case .cancel(let cancel):
            try cancel.attempt.validate()
            try check(cancel.reason, atMost: Limits.maxReasonBytes, "reason")
        case .drain(let drain): try check(drain.reason, atMost: Limits.maxReasonBytes, "reason")
        case .join(let join):
            try check(key: join.publicKey, "public_key")
            try check(join.name, atMost: Limits.maxNameBytes, "name")
        case .joined: break
        case .nextKey(let next): try check(key: next.serverKey, "server_key")
        case .keySaved(let saved): try check(key: saved.serverKey, "server_key")
        case .refusal(let refusal): try check(refusal.message, atMost: Limits.maxReasonBytes, "message")
        }
    }
}

private func check(key: Data, _ what: String) throws(ProtocolError) {
    guard key.count == 32 else { throw .malformed("\(what) of \(key.count) bytes; expected 32") }
}

extension WireHello {
    fileprivate func validate() throws(ProtocolError) {
        guard minVersion >= 1, minVersion <= maxVersion else {
            throw .malformed("version range \(minVersion) to \(maxVersion)")
        }
        try check(identifier: workerID, "worker_id")
        try check(name, atMost: Limits.maxNameBytes, "name")
        try check(softwareVersion, atMost: Limits.maxNameBytes, "software_version")
        try check(cpu, atMost: Limits.maxNameBytes, "cpu")
        try check(UInt64(slots), atMost: UInt64(Limits.maxSlots), "slots")
        try check(running: running)
        guard equipment.weights.count <= Limits.maxWeights else {
            throw .malformed("\(equipment.weights.count) weights; at most \(Limits.maxWeights)")
        }
        for name in equipment.weights { try check(name, atMost: Limits.maxNameBytes, "weights") }
        try check(equipment.memoryBytes, atMost: Limits.maxLoadBytes, "memory_bytes")
        guard kinds.count <= Limits.maxKinds else {
            throw .malformed("\(kinds.count) kinds; at most \(Limits.maxKinds)")
        }
        for kind in kinds { try check(identifier: kind, "kinds") }
        try check(secret, atMost: Limits.maxSecretBytes, "secret")
    }
}

extension WireWelcome {
    fileprivate func validate() throws(ProtocolError) {
        try check(identifier: coordinatorID, "coordinator_id")
        try check(softwareVersion, atMost: Limits.maxNameBytes, "software_version")
        // At most an hour: a worker that waits longer looks dead.
        guard (10...3_600_000).contains(heartbeatMilliseconds) else {
            throw .malformed("heartbeat_milliseconds is \(heartbeatMilliseconds); expected 10 to 3600000")
        }
        try check(attempts: lost)
    }
}

extension WireAssign {
    fileprivate func validate(version: UInt32) throws(ProtocolError) {
        try attempt.validate()
        if hasCheckpoint { try checkpoint.validate() }
        try check(name, atMost: Limits.maxNameBytes, "name")
        try check(checkpointIteration, atMost: Limits.maxIterations, "checkpoint_iteration")
        if version == 1 {
            try exemplar.validate()
            try check(recipeYaml, atMost: Limits.maxSpecBytes, "recipe_yaml")
            try check(exemplarFileName, atMost: Limits.maxNameBytes, "exemplar_file_name")
        } else {
            try check(identifier: kind, "kind")
            try check(spec, atMost: Limits.maxSpecBytes, "spec")
            guard inputs.count <= Limits.maxInputs else {
                throw .malformed("\(inputs.count) inputs; at most \(Limits.maxInputs)")
            }
            for input in inputs {
                try check(identifier: input.name, "input name")
                try input.artifact.validate()
                try check(input.fileName, atMost: Limits.maxNameBytes, "file_name")
            }
        }
    }
}

extension WireWorkerLoad {
    fileprivate func validate() throws(ProtocolError) {
        try check(coresBusy, atMost: Limits.maxLoad, "cores_busy")
        try check(residentBytes, atMost: Limits.maxLoadBytes, "resident_bytes")
        try check(spoolBytes, atMost: Limits.maxLoadBytes, "spool_bytes")
        try check(loadAverage, atMost: Limits.maxLoad, "load_average")
    }
}

extension WireMetricBatch {
    fileprivate func validate() throws(ProtocolError) {
        try attempt.validate()
        try check(UInt64(columns.count), atMost: UInt64(Limits.maxMetricColumns), "columns")
        try check(UInt64(rows.count), atMost: UInt64(Limits.maxMetricRows), "rows")
        for column in columns { try check(column, atMost: Limits.maxNameBytes, "column name") }
        for row in rows {
            guard row.values.count == columns.count else {
                throw .malformed("metric row of \(row.values.count) values for \(columns.count) columns")
            }
            try check(row.iteration, atMost: Limits.maxIterations, "iteration")
            try check(row.unixSeconds, atMost: Limits.maxUnixSeconds, "unix_seconds")
        }
    }
}

extension WireLogBatch {
    fileprivate func validate() throws(ProtocolError) {
        try attempt.validate()
        try check(UInt64(lines.count), atMost: UInt64(Limits.maxLogLines), "lines")
        for line in lines {
            try check(line.message, atMost: Limits.maxLogLineBytes, "log message")
            try check(line.level, atMost: Limits.maxNameBytes, "log level")
            try check(line.unixSeconds, atMost: Limits.maxUnixSeconds, "unix_seconds")
        }
    }
}

extension WireFinish {
    fileprivate func validate(version: UInt32) throws(ProtocolError) {
        try attempt.validate()
        if version == 1 {
            try check(digest: generatorSha256)
            try check(digest: discriminatorSha256)
            try check(digest: checkpointSha256)
        } else {
            guard products.count <= Limits.maxProducts else {
                throw .malformed("\(products.count) products; at most \(Limits.maxProducts)")
            }
            for product in products {
                try check(role: product.role)
                try check(digest: product.sha256)
            }
        }
        try check(iteration, atMost: Limits.maxIterations, "iteration")
        try check(trainingSeconds, atMost: Limits.maxSeconds, "training_seconds")
        try check(reportJson, atMost: Limits.maxReportBytes, "report_json")
    }
}

extension WireAttemptRef {
    fileprivate func validate() throws(ProtocolError) {
        try check(identifier: jobID, "job_id")
        guard attempt >= 1 else { throw .malformed("attempt 0 of job \(jobID); attempts count from 1") }
    }
}

extension WireArtifact {
    fileprivate func validate() throws(ProtocolError) {
        try check(digest: sha256)
        try check(sizeBytes, atMost: Limits.maxArtifactBytes, "size_bytes")
    }
}

private func check(attempts: [WireAttemptRef]) throws(ProtocolError) {
    try check(UInt64(attempts.count), atMost: UInt64(Limits.maxSlots), "attempts")
    for attempt in attempts { try attempt.validate() }
}

private func check(running: [WireAttemptStatus]) throws(ProtocolError) {
    try check(UInt64(running.count), atMost: UInt64(Limits.maxSlots), "running")
    for status in running {
        try status.attempt.validate()
        try check(status.iteration, atMost: Limits.maxIterations, "iteration")
        try check(status.totalIterations, atMost: Limits.maxIterations, "total_iterations")
        try check(status.secondsPerIteration, atMost: Limits.maxSecondsPerIteration, "seconds_per_iteration")
    }
}

private func check(_ value: UInt64, atMost limit: UInt64, _ field: String) throws(ProtocolError) {
    guard value <= limit else { throw .malformed("\(field) is \(value); at most \(limit)") }
}

private func check(_ text: String, atMost limit: Int, _ field: String) throws(ProtocolError) {
    guard text.utf8.count <= limit else {
        throw .malformed("\(field) of \(text.utf8.count) bytes; at most \(limit)")
    }
}

/// NaN is in no range.
private func check(_ value: Double, atMost limit: Double, _ field: String) throws(ProtocolError) {
    guard (0...limit).contains(value) else { throw .malformed("\(field) is \(value); expected 0 to \(limit)") }
}

private func check(digest: String) throws(ProtocolError) {
    guard SHA256Text.isValid(digest) else {
        throw .malformed("sha256 of \(digest.utf8.count) bytes; expected 64 lower-case hex digits")
    }
}

private func check(identifier: String, _ field: String) throws(ProtocolError) {
    guard Identifier.isValid(identifier) else {
        throw .malformed(
            "\(field) of \(identifier.utf8.count) bytes; expected 1 to \(Limits.maxIdentifierBytes) "
                + "letters, digits, '-', '_' or '.', not starting with '.'")
    }
}

private func check(role: String) throws(ProtocolError) {
    guard ArtifactRole(offered: role) != nil else {
        let known = ArtifactRole.allCases.filter { !$0.isSubmitted }.map(\.rawValue).joined(separator: ", ")
        throw .malformed("an artifact in the role '\(role.prefix(64))'; expected \(known)")
    }
}
