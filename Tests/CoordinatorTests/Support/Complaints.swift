import Logging
import Synchronization

extension Logger {
    /// Says only what ends a process.
    static let silent: Logger = {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }()
}

/// The lines that a logger received, at level notice or above.
final class Complaints: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }

    var logger: Logger { Logger(label: "test") { [self] _ in Handler(complaints: self) } }

    private struct Handler: LogHandler {
        let complaints: Complaints
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.notice

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            complaints.lines.withLock { $0.append("\(event.message)") }
        }
    }
}
