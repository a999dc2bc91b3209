import Foundation
import Protocol
import Testing

@testable import Coordinator

@Suite("Pages and ranges")
struct PageTests {
    @Test func controlCharactersDoNotReachAPage() {
        #expect(Readable.plain("a\u{7}b\u{0}\n\tc") == "a\u{FFFD}b\u{FFFD}\n\tc")
    }

    @Test func theLossPlotDrawsEveryTermThatARunHas() {
        let rows = (0..<3000).map { index in
            MetricsEntry(
                iteration: index * 10, unixSeconds: 0,
                values: ["l1": 1 / Float(index + 1), "style": 0, "adversarial": 0.7])
        }
        let svg = LossPlot.svg(rows, title: "a <b> & c")
        #expect(svg.contains(">L1") && svg.contains(">adversarial") && !svg.contains(">style"))
        #expect(svg.contains("a &lt;b&gt; &amp; c") && !svg.contains("nan") && !svg.contains("inf"))
        #expect(svg.components(separatedBy: "<polyline").count == 5)
        #expect(LossPlot.svg([], title: "x").contains("no losses yet"))
    }

    @Test(arguments: [
        ("bytes=0-9", ByteRange.part(0..<10)), ("bytes=90-", .part(90..<100)), ("bytes=-5", .part(95..<100)),
        ("bytes=-500", .part(0..<100)), ("bytes=50-500", .part(50..<100)), ("bytes=99-99", .part(99..<100)),
        ("bytes=100-", .unsatisfiable), ("bytes=-0", .unsatisfiable), ("bytes=5-2", .whole), ("lines=1-2", .whole),
        ("bytes=0-1,5-6", .whole), ("bytes=a-b", .whole), ("bytes=-", .whole), ("bytes=1--2", .whole),
        ("bytes=99999999999999999999-", .unsatisfiable), ("bytes=5-99999999999999999999", .part(5..<100)),
        ("Bytes=0-0", .part(0..<1)),
    ])
    func rangesAreReadAsTheStandardSays(header: String, expected: ByteRange) {
        #expect(ByteRange.parse(header, size: 100) == expected)
    }

    @Test(arguments: [(5.4, "5 s"), (61, "1 min 1 s"), (3725, "1 h 2 min"), (90_000, "1 d 1 h"), (-1, "0 s")])
    func durationsAreReadable(seconds: Double, expected: String) {
        #expect(Readable.duration(seconds) == expected)
    }
}

@Suite("Configuration")
struct CoordinatorConfigurationTests {
    @Test func theDefaultsAreValidAndBindToThisMachineOnly() throws {
        let configuration = CoordinatorConfiguration(environment: ["XDG_STATE_HOME": "/state"])
        try configuration.validate()
        #expect(configuration.dataFolder.path == "/state/texloom/coordinator")
        #expect(configuration.httpHost == "127.0.0.1" && configuration.workerEndpoint == "tcp://127.0.0.1:7741")
    }

    @Test(arguments: ["0.0.0.0", "192.168.1.5", "::", "example.org", "127.evil.example.org"])
    func anAddressOthersCanReachNeedsAnExplicitWord(host: String) throws {
        var configuration = CoordinatorConfiguration()
        configuration.httpHost = host
        let error = #expect(throws: CoordinatorError.self) { try configuration.validate() }
        #expect(error?.message.contains(host) == true)
        configuration.exposesToNetwork = true
        try configuration.validate()
        configuration = CoordinatorConfiguration()
        configuration.workerEndpoint = "tcp://\(host):7741"
        #expect(throws: CoordinatorError.self) { try configuration.validate() }
    }

    @Test func aLeaseShorterThanTwoHeartbeatsIsRefused() {
        var configuration = CoordinatorConfiguration()
        configuration.lease = .seconds(9)
        #expect(throws: CoordinatorError.self) { try configuration.validate() }
    }
}
