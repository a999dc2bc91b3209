import Foundation
import Logging
import Synchronization
import Testing

@testable import texloom

@Suite struct LogRecordTests {
    /// The lines that a logger wrote.
    final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func add(_ line: String) { lines.withLock { $0.append(line) } }
    }

    private func logger(_ format: LogFormat, paints: Bool = false, _ lines: Lines) -> Logger {
        Logger(label: "worker") { label in
            RecordLogHandler(process: label, format: format, paints: paints, write: lines.add)
        }
    }

    private func parsed(_ line: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    @Test func aLineHasTheFieldsThatOneLooksForAndNumbersAreNumbers() throws {
        let lines = Lines()
        var logger = logger(.json, lines)
        logger[metadataKey: "worker"] = "loom-1"
        logger.warning(
            "training \"ended\"",
            metadata: [
                "iteration": .stringConvertible(4200), "job": "00000a1b2c", "attempt": .stringConvertible(UInt64(2)),
                "seconds": .stringConvertible(0.5), "broken": .stringConvertible(Double.nan), "count": "7",
                "is_last": .stringConvertible(true), "sizes": [.stringConvertible(1), "a"], "more": ["b": "c"],
            ])
        let line = try #require(lines.all.first)
        #expect(
            line.contains(
                #""level":"warning","process":"worker","message":"training \"ended\"","job":"00000a1b2c","attempt":2,"#
                    + #""worker":"loom-1","iteration":4200,"broken":"nan","count":"7","is_last":true,"more":{"b":"c"},"#
                    + #""seconds":0.5,"sizes":[1,"a"]}"#), "\(line)")
        #expect(line.contains(/^{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",/), "\(line)")
    }

    @Test func theNearestMetadataWins() throws {
        let lines = Lines()
        var logger = Logger(label: "coordinator") { label in
            RecordLogHandler(
                process: label, format: .json, paints: false, write: lines.add,
                metadataProvider: Logger.MetadataProvider { ["a": "provider", "b": "provider"] })
        }
        for key in ["a", "b", "c"] { logger[metadataKey: key] = "logger" }
        logger.info("x", metadata: ["a": "event", "message": "taken", "error": "named"])
        let object = try parsed(lines.all[0])
        #expect(object["a"] as? String == "event" && object["b"] as? String == "provider")
        #expect(object["c"] as? String == "logger")
        // A metadata field cannot replace the line's own field.
        #expect(object["message"] as? String == "x" && object["message_"] as? String == "taken")
    }

    @Test(arguments: LogFormat.allCases)
    func whateverIsLoggedTakesOneLineAndCommandsNoTerminal(format: LogFormat) throws {
        let lines = Lines()
        let nasty = "a\nb\r\nc\u{1B}[2J\u{9B}31m\u{2028}d\u{85}\u{202E}e\t\"\\ü"
        logger(format, lines).error("\(nasty)", metadata: ["\(nasty)": "\(nasty)", "empty": ""])
        let line = try #require(lines.all.first)
        #expect(lines.all.count == 1)
        #expect(!line.unicodeScalars.contains { $0.isObeyed }, "\(line.debugDescription)")
        if format == .json {
            let object = try parsed(line)
            #expect(object["message"] as? String == nasty && object[nasty] as? String == nasty)
        } else {
            #expect(line.contains("error worker: a\\nb\\r\\nc") && line.contains("ü\"  empty=\"\""), "\(line)")
        }
    }

    @Test func linesForPeopleAreColouredOnlyWhenAsked() throws {
        let plain = Lines()
        let painted = Lines()
        logger(.human, plain).error("bad", metadata: ["job": "a b"])
        logger(.human, paints: true, painted).error("bad")
        #expect(plain.all[0].hasSuffix("Z error worker: bad  job=\"a b\"") && !plain.all[0].contains("\u{1B}"))
        #expect(painted.all[0].contains("\u{1B}[31merror\u{1B}[0m worker: bad"))
    }

    @Test func theProcessesLogAsTold() throws {
        let scratch = try ScratchFolder()
        func coordinator(_ arguments: [String], _ environment: [String: String] = [:]) throws -> TexloomProcess.Result {
            // It cannot start, because the worker address is invalid.
            try TexloomProcess.run(
                [
                    "coordinator", "--data", scratch.path("data"), "--http", "127.0.0.1:0", "--workers", "nowhere",
                ] + arguments, folder: scratch.url, environment: environment)
        }
        let json = try coordinator([], ["TEXLOOM_LOG_FORMAT": "json"])
        let last = try parsed(String(try #require(json.errors.split(separator: "\n").last)))
        #expect(json.status != 0 && last["level"] as? String == "critical", "\(json.errors)")
        #expect((last["message"] as? String)?.contains("nowhere") == true)
        let human = try coordinator(["--log-format", "human"], ["TEXLOOM_LOG_FORMAT": "json"])
        #expect(human.status == json.status && human.errors.hasPrefix("texloom: "), "\(human.errors)")
        let wrong = try coordinator(["--log-format", "xml"])
        #expect(wrong.status == 2 && wrong.errors.contains("'xml': expected one of human, json"), "\(wrong.errors)")
    }
}
