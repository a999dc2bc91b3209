import Foundation
import Protocol

/// A log line. The standard error of coordinator and worker, `texloom logs` and log.jsonl all have the same fields under
/// the same names.
struct LogRecord: Sendable, Equatable {
    var time: Date
    /// trace, debug, info, notice, warning, error or critical.
    var level: String
    /// coordinator, worker or train.
    var process: String
    var message: String
    /// job, attempt, worker, iteration, and other fields of the message.
    var fields: [String: LogField] = [:]

    /// Names that a field must not have.
    private static let own: Set = ["time", "level", "process", "message"]
    /// The first fields, because people look for them.
    private static let places = ["job", "attempt", "worker", "iteration"]

    /// Always one line: a JSON object whose keys are in a fixed order.
    var json: String {
        let head: [(String, LogField)] = [
            ("time", .text(Self.text(of: time))), ("level", .text(level)), ("process", .text(process)),
            ("message", .text(message)),
        ]
        // A parser would keep only one of two equal keys.
        let tail = ordered.map { (Self.own.contains($0.key) ? $0.key + "_" : $0.key, $0.value) }
        return LogField.object(head + tail)
    }

    /// One line for people: `TIME LEVEL PROCESS: MESSAGE  KEY=VALUE ...`.
    func human(paints: Bool) -> String { styled.text(paints: paints) }

    var styled: StyledText {
        let tail = ordered.map { "  \($0.key.printable)=\($0.value.human)" }.joined()
        let colour: TextColour? =
            switch level {
            case "error", "critical": .red
            case "warning": .yellow
            case "trace", "debug": .faint
            default: nil
            }
        let line = StyledText(Self.text(of: time) + " ", .faint) + StyledText(level, colour)
        return line + StyledText(" \(process): ") + StyledText(message.printable, colour == .faint ? .faint : nil)
            + StyledText(tail, .faint)
    }

    private var ordered: [(key: String, value: LogField)] {
        Self.places.compactMap { key in fields[key].map { (key, $0) } }
            + fields.filter { !Self.places.contains($0.key) }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// ISO 8601 in UTC with milliseconds.
    static func text(of time: Date) -> String {
        time.formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true)) + "Z"
    }
}

/// A value of a field: numbers stay numbers.
enum LogField: Sendable, Equatable {
    case text(String)
    case integer(Int64)
    case real(Double)
    case truth(Bool)
    case list([LogField])
    case group([String: LogField])

    var json: String {
        switch self {
        case .text(let text): Self.quoted(text)
        case .integer(let number): String(number)
        // JSON has no infinity.
        case .real(let number): number.isFinite ? "\(number)" : Self.quoted("\(number)")
        case .truth(let truth): truth ? "true" : "false"
        case .list(let fields): "[" + fields.map(\.json).joined(separator: ",") + "]"
        case .group(let fields): Self.object(fields.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        }
    }

    var human: String {
        switch self {
        case .text(let text):
            text.isEmpty || text.contains { $0.isWhitespace || "\"=".contains($0) } || text.printable != text
                ? Self.quoted(text) : text
        default: json
        }
    }

    static func object(_ fields: [(String, LogField)]) -> String {
        "{" + fields.map { "\(quoted($0.0)):\($0.1.json)" }.joined(separator: ",") + "}"
    }

    /// A JSON string. Escapes every character that a terminal or a line reader might interpret.
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "\r": result += "\\r"
            case _ where scalar.isObeyed: result += String(format: "\\u%04x", scalar.value)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

extension LogRecord {
    /// A line of a job's log from the coordinator.
    /// - Parameter workers: names by attempt.
    init(_ entry: LogEntry, job: String, workers: [Int: String]) {
        self.init(
            time: entry.at, level: entry.level, process: entry.source, message: entry.message,
            fields: ["job": .text(job)])
        guard entry.attempt > 0 else { return }
        fields["attempt"] = .integer(Int64(entry.attempt))
        fields["worker"] = workers[entry.attempt].map { .text($0) }
    }
}

extension JobDetail {
    /// The name of each attempt's worker.
    var workersOfAttempts: [Int: String] {
        Dictionary(attempts.map { ($0.number, $0.worker) }, uniquingKeysWith: { $1 })
    }
}
