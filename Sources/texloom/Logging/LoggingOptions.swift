import ArgumentParser
import Foundation
import Logging
import Synchronization

/// `--log-level` and `--log-format` of coordinator and worker.
struct LoggingOptions: ParsableArguments {
    @Option(help: "trace, debug, info, notice, warning, error or critical. Default: info.")
    var logLevel: String?

    @Option(help: "human, or json: an object on each line. Default: human, also in a file or a journal.")
    var logFormat: String?

    /// Runs a process of the cluster with a logger to standard error; standard output is left to the command. With
    /// `--log-format json`, a failure that ends the process is logged as JSON too, so that log collectors see it.
    func run(_ process: String, _ body: (Logger) async throws -> Void) async throws {
        let settings = try Settings.current.get()
        let format = try choice(logFormat, .logFormat, settings, LogFormat.self) ?? .human
        let level = try level(settings)
        let paints = TerminalFeatures(descriptor: STDERR_FILENO).hasColours
        var logger = Logger(label: process) { label in
            RecordLogHandler(process: label, format: format, paints: paints, write: StandardErrorLines.write)
        }
        logger.logLevel = level
        do {
            try await body(logger)
        } catch let failure as CommandFailure where format == .json {
            logger.critical("\(failure.message)")
            throw ExitCode(failure.exitCode.rawValue)
        }
    }

    func level(_ settings: Settings) throws -> Logger.Level {
        try choice(logLevel, .logLevel, settings, Logger.Level.self) ?? .info
    }

    private func choice<Choice: RawRepresentable & CaseIterable>(
        _ flag: String?, _ setting: Setting, _ settings: Settings, _ type: Choice.Type
    ) throws -> Choice? where Choice.RawValue == String {
        guard let text = flag ?? settings[setting] else { return nil }
        guard let choice = Choice(rawValue: text) else {
            let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw CommandFailure("--\(setting.rawValue) '\(text)': expected one of \(names)", exit: .usage)
        }
        return choice
    }
}

/// Standard error, a line at a time: threads that log together do not mix their lines.
enum StandardErrorLines {
    private static let turn = Mutex(())

    @Sendable static func write(_ line: String) {
        let data = Data((line + "\n").utf8)
        // A log without a reader does not stop the process.
        turn.withLock { _ in try? FileHandle.standardError.write(contentsOf: data) }
    }
}
