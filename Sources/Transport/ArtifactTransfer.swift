import Protocol

/// Decides which bytes of an artifact to send next, within the receiver's credit. Holds no file.
public struct ArtifactSender: Equatable, Sendable {
    public struct Chunk: Equatable, Sendable {
        public var offset: UInt64
        public var count: Int
        /// The artifact ends with this chunk.
        public var isLast: Bool
    }

    public let transferID: UInt64
    public let sizeBytes: UInt64
    /// The receiver has every byte before this offset.
    public private(set) var acknowledged: UInt64 = 0
    private var nextOffset: UInt64 = 0
    private var limit: UInt64 = 0
    private var hasSentEmpty = false

    public init(transferID: UInt64, sizeBytes: UInt64) {
        self.transferID = transferID
        self.sizeBytes = sizeBytes
    }

    /// Whether the receiver has acknowledged the whole artifact.
    public var isComplete: Bool { acknowledged == sizeBytes && (sizeBytes > 0 || hasSentEmpty) }

    /// Takes a grant of credit. Repeated and late grants are harmless; one beyond the artifact's end is ignored.
    public mutating func grant(nextOffset offset: UInt64, windowChunks: UInt32, rewind: Bool) {
        guard offset <= sizeBytes else { return }
        let window = UInt64(min(windowChunks, Limits.maxWindowChunks)) * UInt64(Limits.chunkBytes)
        if rewind {
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

    /// The next chunk to read and send; nil until the receiver grants more credit.
    public mutating func next() -> Chunk? {
        if sizeBytes == 0 {
            guard limit > 0, !hasSentEmpty else { return nil }
            hasSentEmpty = true
            return Chunk(offset: 0, count: 0, isLast: true)
        }
        guard nextOffset < min(limit, sizeBytes) else { return nil }
        let count = min(UInt64(Limits.chunkBytes), sizeBytes - nextOffset)
        defer { nextOffset += count }
        return Chunk(offset: nextOffset, count: Int(count), isLast: nextOffset + count == sizeBytes)
    }
}

/// Decides what to do with an arriving chunk: chunks in order go to the file, all others are harmless. Holds no file.
public struct ArtifactReceiver: Equatable, Sendable {
    public enum Decision: Equatable, Sendable {
        /// Append the payload at the given offset, then send ``ArtifactReceiver/credit``.
        case write(offset: UInt64)
        /// Append the payload, then compare the whole file's SHA-256.
        case writeLast(offset: UInt64)
        /// Send the credit, which asks the sender to return to ``ArtifactReceiver/nextOffset``.
        case rewind
        /// Do nothing: the chunk brings nothing new.
        case ignore
    }

    public let transferID: UInt64
    public let artifact: WireArtifact
    /// Every byte before this offset has arrived.
    public private(set) var nextOffset: UInt64
    private var hasAskedToRewind: Bool
    private var hasEmpty = false

    /// - Parameter offset: bytes that the partial file already has.
    public init(transferID: UInt64, artifact: WireArtifact, offset: UInt64 = 0) {
        self.transferID = transferID
        self.artifact = artifact
        nextOffset = min(offset, artifact.sizeBytes)
        hasAskedToRewind = false
    }

    public var isComplete: Bool { nextOffset == artifact.sizeBytes && (artifact.sizeBytes > 0 || hasEmpty) }

    /// The grant to send after a decision. The first grant answers an offer and says where to start.
    public func credit(rewind: Bool, windowChunks: UInt32 = Limits.windowChunks) -> WireArtifactCredit {
        var credit = WireArtifactCredit()
        credit.transferID = transferID
        credit.nextOffset = nextOffset
        credit.windowChunks = windowChunks
        credit.rewind = rewind
        return credit
    }

    public mutating func receive(_ chunk: WireArtifactChunk, payload: [UInt8]) -> Decision {
        guard chunk.transferID == transferID, !isComplete else { return .ignore }
        let end = chunk.offset + UInt64(payload.count)
        guard chunk.offset >= nextOffset, end <= artifact.sizeBytes else { return .ignore }
        let isDamaged = chunk.last != (end == artifact.sizeBytes) || CRC32.checksum(payload) != chunk.crc32
        guard chunk.offset == nextOffset, !isDamaged else {
            // Once per gap: otherwise each chunk in flight behind the missing one would ask again.
            if hasAskedToRewind { return .ignore }
            hasAskedToRewind = true
            return .rewind
        }
        hasAskedToRewind = false
        hasEmpty = payload.isEmpty
        nextOffset = end
        return isComplete ? .writeLast(offset: chunk.offset) : .write(offset: chunk.offset)
    }
}
