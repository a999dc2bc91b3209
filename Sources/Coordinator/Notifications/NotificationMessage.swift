import ClusterCore
import Foundation
import Protocol

/// What a receiver gets, as JSON. Its form follows Standard Webhooks: type, timestamp, data.
struct NotificationMessage: Codable, Sendable, Equatable {
    /// The same in every repetition, and for every receiver.
    var id: String
    var type: NotificationKind
    /// When it happened.
    var timestamp: Date
    var data: Subject

    /// One of the two; neither for a test.
    struct Subject: Codable, Sendable, Equatable {
        var job: EndedJob?
        var batch: EndedBatch?
    }

    /// A job at its end.
    struct EndedJob: Codable, Sendable, Equatable {
        var id: String
        var kind: String
        var name: String
        var resultName: String
        var state: JobState
        var reason: String?
        var batch: String?
        var labels: [String: String]
        /// How many times a worker began it.
        var attempts: Int
        var iteration: Int
        var totalIterations: Int
        var submittedAt: Date
        var startedAt: Date?
        var endedAt: Date
        /// Seconds of work in the result, over all its attempts; of finished jobs.
        var trainingSeconds: Double?
        /// The worker's summary of the figures.
        var verdict: String?
        /// Quality figures of the last snapshot, by name.
        var figures: [String: Float]
        var links: Links?
    }

    /// A batch whose jobs have all ended.
    struct EndedBatch: Codable, Sendable, Equatable {
        var name: String
        /// How many jobs are in each state.
        var jobs: [String: Int]
        var submittedAt: Date
        var endedAt: Date
        var links: Links?
    }

    /// Addresses at the coordinator.
    struct Links: Codable, Sendable, Equatable {
        var page: String
        /// The list of a job's files, as JSON.
        var artifacts: String?
    }
}

extension PendingNotification {
    /// A message that is in no store.
    init(_ message: NotificationMessage) {
        let body = (try? APIFormat.encoder.encode(message)) ?? Data()
        self.init(
            sequence: 0, message: message.id, kind: message.type.rawValue, body: String(decoding: body, as: UTF8.self),
            failures: 0)
    }
}
