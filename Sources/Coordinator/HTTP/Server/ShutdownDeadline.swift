import Dispatch
import Foundation
import Logging
import Synchronization

/// Ends the process if stopping takes too long, for example because a disk does not answer. Everything that the
/// coordinator has accepted is on disk at every moment, so nothing is lost.
final class ShutdownDeadline: Sendable {
    private let seconds: Int
    private let endsProcess: Bool
    private let logger: Logger
    private let isOver = Mutex(false)

    /// - Parameter endsProcess: False where the process has other tasks: it then only says that stopping takes long.
    init(seconds: Int, endsProcess: Bool, logger: Logger) {
        self.seconds = seconds
        self.endsProcess = endsProcess
        self.logger = logger
    }

    func begin() {
        DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(seconds)) { [self] in
            guard isOver.withLock({ !$0 }) else { return }
            guard endsProcess else { return logger.error("stopping takes too long") }
            logger.error("stopping takes too long; the process ends now, and everything accepted is on disk")
            _exit(0)
        }
    }

    /// Everything has stopped.
    func end() { isOver.withLock { $0 = true } }
}
