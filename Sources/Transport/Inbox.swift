import Synchronization

/// What a socket thread has read and one consumer has yet to take, bounded by bytes: the thread stops reading the
/// socket while the inbox is full, and TCP tells the peers.
final class Inbox<Element: Sendable>: Sendable {
    private struct State {
        var waiting: [(element: Element, bytes: Int)] = []
        var head = 0
        var bytes = 0
        var isFinished = false
        var consumer: CheckedContinuation<Element?, Never>?

        mutating func pop() -> Element? {
            guard head < waiting.count else { return nil }
            let (element, count) = waiting[head]
            head += 1
            bytes -= count
            // Keeps popping amortised O(1) without holding what was taken.
            if head == waiting.count || head >= 256 {
                waiting.removeFirst(head)
                head = 0
            }
            return element
        }
    }

    private let state = Mutex(State())
    private let capacityBytes: Int
    private let onRoom: @Sendable () -> Void

    /// - Parameter onRoom: called when a full inbox has room again.
    init(capacityBytes: Int, onRoom: @escaping @Sendable () -> Void) {
        self.capacityBytes = capacityBytes
        self.onRoom = onRoom
    }

    var isFull: Bool { state.withLock { $0.bytes >= capacityBytes } }

    func push(_ element: Element, bytes: Int) {
        let consumer = state.withLock { state -> CheckedContinuation<Element?, Never>? in
            guard !state.isFinished else { return nil }
            if let consumer = state.consumer {
                state.consumer = nil
                return consumer
            }
            state.waiting.append((element, bytes))
            state.bytes += bytes
            return nil
        }
        consumer?.resume(returning: element)
    }

    /// The next element, or nil when the inbox is finished and empty, or the waiting was ended. One consumer at a time.
    func next() async -> Element? {
        await withCheckedContinuation { continuation in
            // The outer optional: whether there is an answer now.
            let (answer, hasRoom) = state.withLock { state -> (Element??, Bool) in
                let wasFull = state.bytes >= capacityBytes
                if let element = state.pop() { return (.some(element), wasFull && state.bytes < capacityBytes) }
                // A consumer that was cancelled before it came here is not woken any more.
                if state.isFinished || state.consumer != nil || Task.isCancelled { return (.some(nil), false) }
                state.consumer = continuation
                return (.none, false)
            }
            if hasRoom { onRoom() }
            if let element = answer { continuation.resume(returning: element) }
        }
    }

    /// Ends the consumer's present wait with nil.
    func cancelWait() {
        state.withLock { state -> CheckedContinuation<Element?, Never>? in
            defer { state.consumer = nil }
            return state.consumer
        }?.resume(returning: nil)
    }

    /// No more elements; those that wait can still be taken.
    func finish() {
        state.withLock { $0.isFinished = true }
        cancelWait()
    }

    var stream: AsyncStream<Element> {
        AsyncStream(unfolding: { await self.next() }, onCancel: { self.cancelWait() })
    }
}
