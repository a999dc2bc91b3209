import DequeModule
import Foundation
import Synchronization

/// Runs calls that wait for the disk, or compute for long, on threads of their own, so that they never hold up Swift's
/// cooperative pool.
///
/// Each kind has its own threads: a worker's heartbeat never waits behind the hashing of a checkpoint of gigabytes.
struct BlockingWork: Sendable {
    /// What a call is for, and so what may wait behind it.
    enum Lane: CaseIterable {
        /// The engine waits for it, and with the engine everybody.
        case engine
        /// Reads or writes no more than a few chunks.
        case chunks
        /// Hashes or decodes a whole file, or goes through a folder.
        case files
        /// Takes seconds, and nothing waits for it.
        case measurements

        var threads: Int {
            switch self {
            case .engine: 1
            // Two at a time would measure each other.
            case .measurements: 1
            // They wait for the disk more than they compute.
            case .chunks: 16
            case .files: 4
            }
        }
    }

    private let lanes = Dictionary(
        uniqueKeysWithValues: Lane.allCases.map { ($0, Threads("texloom-\($0)", $0.threads)) })

    /// Runs a call in its turn.
    func run<Result: Sendable>(
        _ lane: Lane, _ work: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            lanes[lane]!.add { continuation.resume(with: Swift.Result(catching: work)) }
        }
    }
}

/// Up to so many threads, each of which lives while there is work.
private final class Threads: Sendable {
    private struct State {
        var waiting: Deque<@Sendable () -> Void> = []
        var running = 0
    }

    private let name: String
    private let limit: Int
    private let state = Mutex(State())

    init(_ name: String, _ limit: Int) {
        self.name = name
        self.limit = limit
    }

    func add(_ work: @escaping @Sendable () -> Void) {
        let needsThread = state.withLock { state in
            state.waiting.append(work)
            guard state.running < limit else { return false }
            state.running += 1
            return true
        }
        guard needsThread else { return }
        let thread = Thread { [self] in while let work = next() { work() } }
        thread.name = name
        thread.start()
    }

    /// nil: the thread is no longer needed.
    private func next() -> (@Sendable () -> Void)? {
        state.withLock { state in
            if let work = state.waiting.popFirst() { return work }
            state.running -= 1
            return nil
        }
    }
}
