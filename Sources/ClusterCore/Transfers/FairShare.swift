/// Shares limited room among an unknown number of owners. Each may hold a quarter of what is still free, and no more
/// than its own limit (dynamic thresholds, Choudhury and Hahne 1998).
///
/// However many owners flood it, an owner that holds nothing yet still finds room.
package struct FairShare: Sendable {
    package let maxCount: Int
    package let maxCountPerOwner: Int
    package let maxBytes: Int
    package let maxBytesPerOwner: Int
    package private(set) var count = 0
    package private(set) var bytes = 0
    private var held: [UInt64: (count: Int, bytes: Int)] = [:]

    package init(maxCount: Int, maxCountPerOwner: Int, maxBytes: Int, maxBytesPerOwner: Int) {
        self.maxCount = maxCount
        self.maxCountPerOwner = maxCountPerOwner
        self.maxBytes = maxBytes
        self.maxBytesPerOwner = maxBytesPerOwner
    }

    /// - Returns: false if there is no room. Then nothing is counted.
    package mutating func add(_ size: Int, of owner: UInt64) -> Bool {
        let own = held[owner] ?? (0, 0)
        guard count < maxCount, bytes + size <= maxBytes else { return false }
        let isFair =
            own.count < min(maxCountPerOwner, (maxCount - count) / 4)
            && own.bytes + size <= min(maxBytesPerOwner, (maxBytes - bytes) / 4)
        guard own.count == 0 || isFair else { return false }
        held[owner] = (own.count + 1, own.bytes + size)
        count += 1
        bytes += size
        return true
    }

    /// Frees the room of one accepted addition.
    package mutating func remove(_ size: Int, of owner: UInt64) {
        guard let own = held[owner] else { return }
        held[owner] = own.count > 1 ? (own.count - 1, own.bytes - size) : nil
        count -= 1
        bytes -= size
    }
}
