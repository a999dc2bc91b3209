/// Describes one chunk of an artifact. The chunk's bytes travel beside it.
package struct ArtifactChunk: Sendable, Equatable {
    package var transferID: UInt64
    package var offset: UInt64
    /// Whether the artifact ends with this chunk.
    package var isLast: Bool
    /// Whether the bytes match the checksum that the sender announced. The edge that receives them compares.
    package var isIntact: Bool

    package init(transferID: UInt64, offset: UInt64, isLast: Bool, isIntact: Bool = true) {
        self.transferID = transferID
        self.offset = offset
        self.isLast = isLast
        self.isIntact = isIntact
    }
}

/// A receiver's permission to send. Grants are cumulative and may be repeated.
package struct ArtifactCredit: Sendable, Equatable {
    package var transferID: UInt64
    /// All bytes before this one have arrived.
    package var nextOffset: UInt64
    /// How much from ``nextOffset`` on may be under way, in units of ``Limits/chunkBytes``.
    package var windowChunks: UInt32
    /// A chunk was lost or damaged: the sender starts again at ``nextOffset``.
    package var isRewind: Bool

    package init(transferID: UInt64, nextOffset: UInt64, windowChunks: UInt32, isRewind: Bool) {
        self.transferID = transferID
        self.nextOffset = nextOffset
        self.windowChunks = windowChunks
        self.isRewind = isRewind
    }
}

/// Decides which bytes of an artifact to send: in order, as far as credit allows. Opens no file.
package struct ArtifactSender: Equatable, Sendable {
    package struct Chunk: Equatable, Sendable {
        package var offset: UInt64
        package var count: Int
        /// Whether the artifact ends with this chunk.
        package var isLast: Bool
    }

    package let transferID: UInt64
    package let sizeBytes: UInt64
    private let maxWindowChunks: UInt32
    /// The receiver has every byte before this offset.
    package private(set) var acknowledged: UInt64 = 0
    private var nextOffset: UInt64 = 0
    private var limit: UInt64 = 0
    private var hasSentEmpty = false

    /// - Parameter maxWindowChunks: The largest window to follow, whatever the receiver grants.
    package init(transferID: UInt64, sizeBytes: UInt64, maxWindowChunks: UInt32 = Limits.maxWindowChunks) {
        self.transferID = transferID
        self.sizeBytes = sizeBytes
        self.maxWindowChunks = maxWindowChunks
    }

    /// Whether the receiver has confirmed every byte. An empty artifact is complete once its only chunk is sent.
    package var isComplete: Bool { acknowledged == sizeBytes && (sizeBytes > 0 || hasSentEmpty) }

    /// Takes a grant. A repeated or late grant does no harm. The sender ignores a grant beyond the artifact's end.
    package mutating func grant(_ credit: ArtifactCredit) {
        let offset = credit.nextOffset
        guard offset <= sizeBytes else { return }
        let window = UInt64(min(credit.windowChunks, maxWindowChunks)) * UInt64(Limits.chunkBytes)
        if credit.isRewind {
            nextOffset = offset
            acknowledged = offset
            limit = offset + window
            hasSentEmpty = false
        } else {
            acknowledged = max(acknowledged, offset)
            nextOffset = max(nextOffset, acknowledged)
            limit = max(limit, offset + window)
        }
    }

    /// The next chunk to read and send, or nil until more credit arrives.
    package mutating func next() -> Chunk? {
        if sizeBytes == 0 {
            guard limit > 0, !hasSentEmpty else { return nil }
            hasSentEmpty = true
            return Chunk(offset: 0, count: 0, isLast: true)
        }
        guard nextOffset < min(limit, sizeBytes) else { return nil }
        let count = min(UInt64(Limits.sentChunkBytes), sizeBytes - nextOffset)
        defer { nextOffset += count }
        return Chunk(offset: nextOffset, count: Int(count), isLast: nextOffset + count == sizeBytes)
    }
}

/// Decides what to do with an arriving chunk. Only the next chunk in order reaches the file. Opens no file.
package struct ArtifactReceiver: Equatable, Sendable {
    package enum Decision: Equatable, Sendable {
        /// Append the payload at the given offset, then send ``ArtifactReceiver/credit``.
        case write(offset: UInt64)
        /// Append, then compare the whole file's SHA-256.
        case writeLast(offset: UInt64)
        /// Send a credit that asks the sender to go back.
        case rewind
        /// The chunk brings nothing new.
        case ignore
    }

    package let transferID: UInt64
    package let artifact: Artifact
    private var sizeBytes: UInt64 { UInt64(artifact.sizeBytes) }
    /// Every byte before this offset has arrived.
    package private(set) var nextOffset: UInt64
    private var hasAskedToRewind: Bool
    private var hasEmpty = false

    /// - Parameter offset: How many bytes of the file have already arrived.
    package init(transferID: UInt64, artifact: Artifact, offset: UInt64 = 0) {
        self.transferID = transferID
        self.artifact = artifact
        nextOffset = min(offset, UInt64(artifact.sizeBytes))
        hasAskedToRewind = false
    }

    package var isComplete: Bool { nextOffset == sizeBytes && (sizeBytes > 0 || hasEmpty) }

    /// The grant to send after a decision. The first grant answers an offer and says where to start.
    package func credit(rewind: Bool, windowChunks: UInt32 = Limits.windowChunks) -> ArtifactCredit {
        ArtifactCredit(
            transferID: transferID, nextOffset: nextOffset, windowChunks: windowChunks, isRewind: rewind)
    }

    package mutating func receive(_ chunk: ArtifactChunk, byteCount: Int) -> Decision {
        guard chunk.transferID == transferID, !isComplete else { return .ignore }
        let end = chunk.offset + UInt64(byteCount)
        guard chunk.offset >= nextOffset, end <= sizeBytes else { return .ignore }
        let isDamaged = chunk.isLast != (end == sizeBytes) || !chunk.isIntact
        guard chunk.offset == nextOffset, !isDamaged else {
            // Asks once per gap. Otherwise every chunk behind the missing one would ask again.
            if hasAskedToRewind { return .ignore }
            hasAskedToRewind = true
            return .rewind
        }
        hasAskedToRewind = false
        hasEmpty = byteCount == 0
        nextOffset = end
        return isComplete ? .writeLast(offset: chunk.offset) : .write(offset: chunk.offset)
    }
}

/// Tells chunks that are lost from those that are still under way on a slow line, and would cross it twice if the sender
/// went back.
package struct ChunkPace: Equatable, Sendable {
    private var lastArrival: Instant
    /// Between two chunks, of late; at most a minute, which is longer than a line takes that a connection survives. A
    /// process that was suspended would otherwise wait as long again.
    private var longestGap = Duration.zero
    /// Since the last chunk.
    private var reminders = 0
    /// Of other transfers' chunks, since the last chunk.
    private var bytesOfOthers = 0

    package init(at now: Instant) { lastArrival = now }

    /// A chunk has arrived, be it a new one or not.
    package mutating func arrived(at now: Instant) {
        bytesOfOthers = 0
        note(at: now)
    }

    /// Chunks of other transfers have arrived over the same line. This transfer's may be behind them, unless there were
    /// more than wait in an outbox.
    package mutating func othersArrived(bytes: Int, at now: Instant) {
        bytesOfOthers += bytes
        if bytesOfOthers <= Limits.outboxBytes { note(at: now) }
    }

    private mutating func note(at now: Instant) {
        longestGap = min(max(now.since(lastArrival), longestGap / 2), .seconds(60))
        lastArrival = max(lastArrival, now)
        reminders = 0
    }

    /// Nothing has moved for a heartbeat.
    /// - Returns: Whether to let the sender go back: the second time, if no chunk has come for three times as long as
    ///   usual.
    package mutating func isRewindDue(at now: Instant) -> Bool {
        reminders += 1
        guard reminders >= 2, now.since(lastArrival) > longestGap * 3 else { return false }
        restart(at: now)
        return true
    }

    /// The sender begins, or goes back.
    package mutating func restart(at now: Instant) {
        lastArrival = now
        reminders = 0
        bytesOfOthers = 0
    }
}
