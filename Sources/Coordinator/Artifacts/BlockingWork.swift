import DequeModule
import Foundation
import Synchronization

/// Runs calls that wait for the disk or compute for long on its own threads, so that they never hold up Swift's
/// cooperative pool.
///
/// Each kind of work has its own threads: a worker's heartbeat never waits behind the hash of a checkpoint of
/// gigabytes.
struct BlockingWork: Sendable {
    /// The kind of a call. Calls of one kind may wait for each other.
    enum Lane: CaseIterable {
        /// The engine waits for it, and everything waits for the engine.
        case engine
        /// Reads or writes at most a few chunks.
        case chunks
        /// Hashes a whole file, or lists a folder.
        case files
        /// Decodes a picture, which may take hundreds of MiB: one at a time, and not in the disk's way.
        case pictures
        /// Reads or writes the audit log.
        case audit
        /// Takes seconds, and nothing waits for it.
        case measurements
        /// Waits for a command of the operator.
        case commands

        var threads: Int {
            switch self {
            case .engine, .pictures, .audit: 1
            // Two at a time would distort each other's measurements.
            case .measurements: 1
            case .commands: 1
            // These threads wait for the disk more than they compute.
            case .chunks: 16
            case .files: 4
            }
        }
    }

    private let lanes = Dictionary(
        uniqueKeysWithValues: Lane.allCases.map { ($0, Threads("texloom-\($0)", $0.threads)) })

    /// Runs a call after the earlier calls of its lane have started.
    func run<Result: Sendable>(
        _ lane: Lane, _ work: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            lanes[lane]!.add { continuation.resume(with: Swift.Result(catching: work)) }
        }
    }
}

/// At most `limit` threads. Each ends when no work is left.
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

    /// The next call; nil if the thread must end.
    private func next() -> (@Sendable () -> Void)? {
        state.withLock { state in
            if let work = state.waiting.popFirst() { return work }
            state.running -= 1
            return nil
        }
    }
}
