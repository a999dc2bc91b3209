import Foundation
import OperatingSystem

/// Whom the coordinator tells about ends of jobs and batches. Default: no one.
///
/// Only the operator sets it: no caller of the API chooses an address that the coordinator asks, or a program that it runs.
public struct NotificationConfiguration: Sendable {
    static let maxWebhooks = 16

    /// Addresses that get signed POST requests.
    public var webhooks: [URL] = []
    /// A program that is run for each message.
    public var command: URL?
    /// A file of mode 600 with the secret that signs requests: `whsec_` and base64, a second one on a line of its own while
    /// receivers change to it.
    public var secretFile: URL?
    /// Default: all but ``NotificationKind/jobBlocked``, because the end of the job that it waits for is told already.
    public var kinds: Set<NotificationKind> = [.jobFinished, .jobFailed, .jobHeld, .jobCancelled, .batchEnded]
    /// The address under which people reach the pages, for links. Default: the HTTP address, unless that is every address of
    /// the machine or a free port.
    public var publicURL: URL?
    /// Time limit for a webhook's answer. No option; tests lengthen it.
    var webhookTimeout = Webhook.timeout

    public init() {}

    public var hasReceivers: Bool { !webhooks.isEmpty || command != nil }

    /// - Throws: `CoordinatorError.badConfiguration`.
    func validate() throws {
        for url in webhooks + [publicURL].compactMap(\.self) {
            // The path may hold a secret.
            let shown = "\(url.scheme ?? "")://\(url.host ?? "")"
            try requireSetting(
                ["http", "https"].contains(url.scheme) && url.host?.isEmpty == false,
                "'\(shown)' is no address of a receiver; expected one like https://hooks.example/texloom")
            try requireSetting(
                url.user == nil && url.password == nil,
                "\(shown): an address with a user or a password is not supported; receivers verify the signature")
        }
        try requireSetting(
            webhooks.count <= Self.maxWebhooks && Set(webhooks).count == webhooks.count,
            "there are \(webhooks.count) webhooks; expected at most \(Self.maxWebhooks), each once")
        try requireSetting(
            webhooks.isEmpty || secretFile != nil,
            "a webhook needs a secret that signs its requests: --notify-secret FILE (docs/operations.md)")
        if let command {
            try requireSetting(
                access(command.path, X_OK) == 0 && !isFolder(command),
                "the command '\(command.path)' cannot be run: \(reasonOfSystem(errno))")
        }
        try requireSetting(!kinds.isEmpty, "no event is chosen; leave --notify-on out for the default")
    }

    private func isFolder(_ url: URL) -> Bool {
        var isFolder: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder)
        if exists, isFolder.boolValue { errno = EISDIR }
        return exists && isFolder.boolValue
    }
}
