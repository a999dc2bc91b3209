@preconcurrency import Dispatch
import Foundation
import Synchronization

/// Turns SIGINT and SIGTERM into a wish to stop with a checkpoint; a second one ends the process at once.
final class StopSignals: Sendable {
    private let count = Mutex(0)
    private let sources: [any DispatchSourceSignal]

    var received: Bool { count.withLock { $0 > 0 } }

    init() {
        sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            return DispatchSource.makeSignalSource(signal: number, queue: .global())
        }
        for source in sources {
            source.setEventHandler { [weak self] in
                guard let self else { return }
                let times = self.count.withLock { count in
                    count += 1
                    return count
                }
                if times == 1 {
                    complain("stopping after this iteration, with a checkpoint")
                } else {
                    exit(CommandExit.failed.rawValue)
                }
            }
            source.resume()
        }
    }

    deinit { for source in sources { source.cancel() } }
}
