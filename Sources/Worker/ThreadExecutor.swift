import Foundation
import Synchronization

/// Runs an actor on a thread of its own, so that the actor's blocking file access never occupies a thread of Swift's
/// cooperative pool. Runs until ``stop()``.
final class ThreadExecutor: SerialExecutor {
    private struct State {
        var jobs: [UnownedJob] = []
        var isStopped = false
    }
    // A condition variable, because the thread must sleep while there is nothing to do.
    private let condition = NSCondition()
    private let state = Mutex(State())

    init(name: String) {
        let thread = Thread { [self] in
            while let jobs = nextJobs() {
                for job in jobs { job.runSynchronously(on: asUnownedSerialExecutor()) }
            }
        }
        thread.name = name
        thread.start()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        condition.withLock {
            state.withLock { $0.jobs.append(job) }
            condition.signal()
        }
    }

    private func nextJobs() -> [UnownedJob]? {
        condition.withLock {
            while true {
                let (jobs, isStopped) = state.withLock { state in
                    defer { state.jobs = [] }
                    return (state.jobs, state.isStopped)
                }
                if !jobs.isEmpty { return jobs }
                if isStopped { return nil }
                condition.wait()
            }
        }
    }

    /// Ends the thread once nothing is queued. Call this after the actor's last call has returned.
    func stop() {
        condition.withLock {
            state.withLock { $0.isStopped = true }
            condition.signal()
        }
    }
}
