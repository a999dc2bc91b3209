import Foundation

/// What a transaction needs to know to record messages beside the changes that cause them.
struct NotificationPolicy: Sendable {
    /// Ids of the receivers; each gets every message.
    var receivers: [String]
    var kinds: Set<NotificationKind>
    /// The address of the pages; nil: messages have no links.
    var publicURL: String?

    func jobLinks(_ id: String) -> NotificationMessage.Links? {
        publicURL.map { .init(page: "\($0)/jobs/\(id)", artifacts: "\($0)/api/v1/jobs/\(id)/artifacts") }
    }

    func batchLinks(_ name: String) -> NotificationMessage.Links? {
        publicURL.map { .init(page: "\($0)/batches/\(name)") }
    }
}
