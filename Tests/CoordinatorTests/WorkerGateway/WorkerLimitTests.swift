import Base
import ClusterFixtures
import Testing

@testable import ClusterCore
@testable import Coordinator
@testable import Transport

@Suite("Workers' limits")
struct WorkerLimitTests {
    @Test func theDocumentHasEveryNumber() throws {
        let document = try Project.text("docs/security.md")
        func grouped(_ number: Int) -> String {
            number < 1000 ? "\(number)" : "\(number / 1000)," + "\(1000 + number % 1000)".dropFirst()
        }
        let wire = UnfinishedMessages.budget
        // An attempt that the worker does not name in a heartbeat stays with it until its lease ends.
        let cluster = ClusterDriver()
        for number in 0..<9 { cluster.submit("job \(number)") }
        cluster.hello(1)
        var attempts = 0
        while cluster.take(1) != nil { attempts += 1 }
        var notice = RareNotice()
        let noted = (1...9).filter { _ in notice.occurred() != nil }
        let rows = [
            "an invitation | one worker, \(Int(WorkerKeys.invitationLifetime / 3600)) h | refused",
            "unused invitations | \(grouped(WorkerKeys.maxInvitations)) | 409",
            "a worker's key | \(Int(Janitor.workerLifetime / 86_400)) days without the worker | refused",
            "a frame | \(Double(Limits.maxFrameBytes) / 1_048_576) MiB | the connection is closed",
            "unfinished messages of all connections | \(wire >> 20) MiB on the wire",
            "while whole messages wait, too | \(4 * wire >> 20) MiB on the wire",
            "without a moment in which none waits | \(grouped(RouterSocket.maxBacklog)) | all that wait are discarded",
            "attempts of a worker with N slots | 2 N + \(attempts - 2) | no work",
            "the " + noted.map { [1: "1st", 2: "2nd"][$0] ?? "\($0)th" }.joined(separator: ", ") + " ... | counted",
        ]
        for row in rows { #expect(document.contains(row), "\(row)") }
    }
}
