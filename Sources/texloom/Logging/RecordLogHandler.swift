import Foundation
import Logging

/// How a process writes its log.
enum LogFormat: String, CaseIterable {
    case human, json
}

/// Writes log messages as ``LogRecord``s, one line each.
struct RecordLogHandler: LogHandler {
    let process: String
    let format: LogFormat
    /// Whether lines for people have colours.
    let paints: Bool
    /// Called with each line, without its line end.
    let write: @Sendable (String) -> Void
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        // The metadata closest to the message wins.
        var all = metadata
        all.merge(metadataProvider?.get() ?? [:]) { $1 }
        all.merge(event.metadata ?? [:]) { $1 }
        if let error = event.error, all["error"] == nil { all["error"] = "\(error)" }
        let record = LogRecord(
            time: Date(), level: event.level.rawValue, process: process, message: event.message.description,
            fields: all.mapValues(LogField.init))
        write(format == .json ? record.json : record.human(paints: paints))
    }
}

extension LogField {
    init(_ value: Logger.Metadata.Value) {
        switch value {
        case .string(let text): self = .text(text)
        case .stringConvertible(let truth as Bool): self = .truth(truth)
        case .stringConvertible(let number as any BinaryInteger):
            self = Int64(exactly: number).map { .integer($0) } ?? .text("\(number)")
        case .stringConvertible(let number as any BinaryFloatingPoint): self = .real(Double(number))
        case .stringConvertible(let other): self = .text("\(other)")
        case .dictionary(let fields): self = .group(fields.mapValues(LogField.init))
        case .array(let fields): self = .list(fields.map(LogField.init))
        }
    }
}
