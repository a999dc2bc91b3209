import Foundation
import Testing

@testable import ClusterCore
@testable import Protocol
@testable import Worker

struct LoadMeterTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("load-\(UUID().uuidString)")
    private let ref = AttemptReference(job: JobID(sequence: 1, salt: 0), number: 1)

    @Test func whatWaitsForDeliveryIsMeasuredAndInputsAreNot() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let spool = try Spool(folder: folder)
        #expect(spool.artifactBytes() == 0)
        let other = AttemptReference(job: JobID(sequence: 1, salt: 0), number: 2)
        for ref in [ref, other] { try spool.create(ref) }
        try Data(count: 1_000).write(to: spool.input(String(repeating: "a", count: 64), of: ref))
        try Data(count: 300).write(to: spool.artifacts(of: ref).appendingPathComponent("checkpoint"))
        try Data(count: 20).write(to: spool.artifacts(of: ref).appendingPathComponent("snapshot"))
        try Data(count: 1).write(to: spool.artifacts(of: other).appendingPathComponent("snapshot"))
        #expect(spool.artifactBytes() == 321)
        spool.remove("snapshot", of: ref)
        #expect(spool.artifactBytes() == 301)
    }

    @Test func coresAreTheCPUTimeOfTheTimeThatPassed() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let spool = try Spool(folder: folder)
        let start = ContinuousClock.now
        var meter = LoadMeter(at: start)
        var sum: UInt64 = 0
        let before = clock()
        // Uses a tenth of a second of this process's CPU time, however long that takes.
        while clock() - before < CLOCKS_PER_SEC / 10 { sum = sum &* 31 &+ 7 }
        let load = meter.read(spool, at: start + .seconds(1))
        #expect(load.coresBusy >= 0.09 && sum != 1)
        #expect(load.residentBytes > 1 << 20 && load.spoolBytes == 0 && load.loadAverage >= 0)
        #expect(WireMessage.breach(.heartbeat(sequence: 1, freeSlots: 0, running: [], load: load)) == nil)
        #expect(meter.read(spool, at: start + .seconds(1)).coresBusy == 0, "no time has passed")
    }
}
