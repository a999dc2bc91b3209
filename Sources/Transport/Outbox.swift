/// Messages for one peer that libzmq has not taken yet, bounded by bytes.
struct Outbox {
    private var messages: [[[UInt8]]] = []
    private var head = 0
    private(set) var bytes = 0

    var isEmpty: Bool { head == messages.count }
    var first: [[UInt8]]? { isEmpty ? nil : messages[head] }

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
        guard let first else { return nil }
        removeFirst()
        return first
    }

    mutating func removeFirst() {
        bytes -= Self.bytes(of: messages[head])
        messages[head] = []
        head += 1
        if isEmpty || head >= 64 {
            messages.removeFirst(head)
            head = 0
        }
    }
}
