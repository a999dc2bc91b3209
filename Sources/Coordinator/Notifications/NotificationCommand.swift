import Base
import ClusterCore
import Foundation
import OperatingSystem
import Protocol
import Synchronization

/// A program of the operator that gets messages: the JSON on standard input, the main values in its environment. One at a
/// time; exit status 0 means that it has taken the message.
struct NotificationCommand: NotificationReceiver {
    static let timeout = Duration.seconds(60)
    /// All that the program gets of the coordinator's environment: nothing that could be a secret.
    static let passedOn = ["PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"]
    /// What variables hold at most of a value; standard input has all of it.
    static let maxValueBytes = 4096

    let program: URL
    let disk: BlockingWork
    /// No option; tests shorten it.
    var timeout = Self.timeout
    var environment = ProcessInfo.processInfo.environment

    var kind: NotificationReceiverKind { .command }
    static func id(of program: URL) -> String { "command-" + program.path }

    var id: String { Self.id(of: program) }
    var title: String { program.path }

    func deliver(_ notification: PendingNotification) async throws(DeliveryFailure) {
        let command = ChildCommand(
            program: program, arguments: [notification.kind], environment: variables(notification),
            input: Data(notification.body.utf8), limit: timeout)
        let flag = Flag()
        let result: ChildCommand.Result
        do {
            result = try await withTaskCancellationHandler {
                try await disk.run(.commands) { try command.run(isCancelled: { flag.isSet }) }
            } onCancel: {
                flag.set()
            }
        } catch {
            throw DeliveryFailure(reason: "\(error)")
        }
        let said = result.lastLine.isEmpty ? "" : ": \(result.lastLine)"
        switch result.end {
        case .exited(0): return
        case .exited(let status): throw DeliveryFailure(reason: "it ended with status \(status)\(said)")
        case .killed(let signal): throw DeliveryFailure(reason: "signal \(signal) ended it\(said)")
        case .tookTooLong:
            throw DeliveryFailure(reason: "it took more than \(Readable.duration(timeout.inSeconds))\(said)")
        case .cancelled: throw DeliveryFailure(reason: "the coordinator stops")
        case .unknown: throw DeliveryFailure(reason: "the system did not say how it ended\(said)")
        }
    }

    private func variables(_ notification: PendingNotification) -> [String: String] {
        var variables = environment.filter { Self.passedOn.contains($0.key) }
        variables["PATH"] = variables["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        variables["TEXLOOM_EVENT"] = notification.kind
        variables["TEXLOOM_EVENT_ID"] = notification.message
        let message = try? APIFormat.decoder.decode(NotificationMessage.self, from: Data(notification.body.utf8))
        if let job = message?.data.job {
            variables["TEXLOOM_JOB"] = job.id
            variables["TEXLOOM_JOB_NAME"] = job.name
            variables["TEXLOOM_STATE"] = job.state.rawValue
            variables["TEXLOOM_REASON"] = job.reason
            variables["TEXLOOM_BATCH"] = job.batch
            variables["TEXLOOM_URL"] = job.links?.page
        } else if let batch = message?.data.batch {
            variables["TEXLOOM_BATCH"] = batch.name
            variables["TEXLOOM_URL"] = batch.links?.page
        }
        return variables.mapValues { value in
            String(decoding: value.utf8.prefix(Self.maxValueBytes).filter { $0 != 0 }, as: UTF8.self)
        }
    }

    private final class Flag: Sendable {
        private let value = Mutex(false)
        var isSet: Bool { value.withLock { $0 } }
        func set() { value.withLock { $0 = true } }
    }
}
