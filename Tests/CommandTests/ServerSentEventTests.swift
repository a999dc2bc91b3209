import Foundation
import Protocol
import Testing

@testable import texloom

@Suite struct ServerSentEventTests {
    private let stream =
        "retry: 2000\n\nid: a-1\nevent: job\ndata: {\"ü\":1}\n\n: alive\n\ndata:x\r\ndata: y\r\n\r\nid: 7.3\revent: log\rdata\r\r"
    private let expected = [
        StreamEvent(id: "a-1", name: .job, data: "{\"ü\":1}"),
        StreamEvent(id: "a-1", name: nil, data: "x\ny"),
        StreamEvent(id: "7.3", name: .log, data: ""),
    ]

    @Test func eventsAreReadInWhateverPiecesTheyArrive() {
        let bytes = Array(stream.utf8)
        for size in 1...bytes.count {
            var parser = StreamEventParser()
            var events: [StreamEvent] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                events += parser.feed(bytes[start..<min(start + size, bytes.count)])
            }
            #expect(events == expected, "in pieces of \(size)")
        }
    }

    @Test func whatIsNotFinishedIsNoEvent() {
        var parser = StreamEventParser()
        #expect(parser.feed("event: job\ndata: 1\n".utf8).isEmpty)
        #expect(parser.feed("\n".utf8) == [StreamEvent(id: "", name: .job, data: "1")])
    }

    @Test func filtersSayWhatTheyExpect() throws {
        let now = Date(timeIntervalSince1970: 1_000_000)
        func entry(_ level: String, secondsAgo: Double) -> LogEntry {
            LogEntry(
                id: 1, at: now.addingTimeInterval(-secondsAgo), level: level, source: "worker", attempt: 1, message: "")
        }
        let filter = try LogFilter(level: "warning", since: "2m", now: now)
        #expect(filter.admits(entry("error", secondsAgo: 119)) && filter.admits(entry("warning", secondsAgo: 0)))
        #expect(!filter.admits(entry("error", secondsAgo: 121)) && !filter.admits(entry("info", secondsAgo: 0)))
        #expect(filter.admits(entry("weird", secondsAgo: 0)), "an unknown level is not hidden")
        let dated = try LogFilter(level: nil, since: "1970-01-12T13:46:00Z", now: now)
        #expect(dated.admits(entry("debug", secondsAgo: 40)) && !dated.admits(entry("debug", secondsAgo: 41)))
        #expect(throws: CommandFailure.self) { try LogFilter(level: "loud", since: nil, now: now) }
        for wrong in ["", "m", "-1m", "5y", "soon", "nans"] {
            #expect(throws: CommandFailure.self, "\(wrong)") { try LogFilter(level: nil, since: wrong, now: now) }
        }
    }
}
