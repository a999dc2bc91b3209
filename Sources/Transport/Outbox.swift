import DequeModule

/// Messages for one peer that libzmq has not taken yet, bounded by bytes.
struct Outbox {
    private var messages: Deque<[[UInt8]]> = []
    private(set) var bytes = 0

    var isEmpty: Bool { messages.isEmpty }

    static func bytes(of frames: [[UInt8]]) -> Int { frames.reduce(64) { $0 + $1.count } }

    /// False, and nothing changed, if the message does not fit.
    mutating func append(_ frames: [[UInt8]], limit: Int) -> Bool {
        let count = Self.bytes(of: frames)
        guard bytes + count <= limit else { return false }
        messages.append(frames)
        bytes += count
        return true
    }

    mutating func popFirst() -> [[UInt8]]? {
        guard let first = messages.popFirst() else { return nil }
        bytes -= Self.bytes(of: first)
        return first
    }
}
