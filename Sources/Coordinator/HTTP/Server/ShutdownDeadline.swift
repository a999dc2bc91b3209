import Dispatch
import Foundation
import Logging
import Synchronization

/// Ends the process if stopping takes too long, for example because a disk does not answer. Everything that the
/// coordinator has accepted is on disk at every moment, so nothing is lost.
final class ShutdownDeadline: Sendable {
    private let seconds: Int
    private let logger: Logger
    private let isOver = Mutex(false)

    init(seconds: Int, logger: Logger) {
        self.seconds = seconds
        self.logger = logger
    }

    func begin() {
        DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(seconds)) { [self] in
            guard isOver.withLock({ !$0 }) else { return }
            logger.error("stopping takes too long; the process ends now, and everything accepted is on disk")
            _exit(0)
        }
    }

    /// Everything has stopped.
    func end() { isOver.withLock { $0 = true } }
}
