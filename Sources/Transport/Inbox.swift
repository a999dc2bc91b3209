import DequeModule
import Synchronization

/// Messages that a socket thread has read and that wait for one consumer, bounded by bytes. While the inbox is full, the
/// thread stops reading the socket. A client's connection is then full, too, and TCP's flow control slows the server down.
final class Inbox<Element: Sendable>: Sendable {
    private struct State {
        var waiting: Deque<(element: Element, bytes: Int)> = []
        var bytes = 0
        var isFinished = false
        var consumer: CheckedContinuation<Element?, Never>?

        mutating func pop() -> Element? {
            guard let (element, count) = waiting.popFirst() else { return nil }
            bytes -= count
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

    /// The next element; nil when the inbox is finished and empty, or when ``cancelWait()`` ends the wait. One consumer at
    /// a time.
    func next() async -> Element? {
        await withCheckedContinuation { continuation in
            // The outer optional says whether an answer exists now.
            let (answer, hasRoom) = state.withLock { state -> (Element??, Bool) in
                let wasFull = state.bytes >= capacityBytes
                if let element = state.pop() { return (.some(element), wasFull && state.bytes < capacityBytes) }
                // Nothing would wake a consumer that was cancelled before this point.
                if state.isFinished || state.consumer != nil || Task.isCancelled { return (.some(nil), false) }
                state.consumer = continuation
                return (.none, false)
            }
            if hasRoom { onRoom() }
            if let element = answer { continuation.resume(returning: element) }
        }
    }

    /// Ends the consumer's current wait with nil.
    func cancelWait() {
        state.withLock { state -> CheckedContinuation<Element?, Never>? in
            defer { state.consumer = nil }
            return state.consumer
        }?.resume(returning: nil)
    }

    /// Accepts no more elements; the waiting ones can still be taken.
    func finish() {
        state.withLock { $0.isFinished = true }
        cancelWait()
    }

    var stream: AsyncStream<Element> {
        AsyncStream(unfolding: { await self.next() }, onCancel: { self.cancelWait() })
    }
}
