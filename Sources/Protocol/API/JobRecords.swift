import ClusterCore
import Foundation

/// An immutable file of a job.
public struct ArtifactSummary: Codable, Sendable, Equatable {
    /// `kind` in JSON.
    public var role: ArtifactRole
    /// Of a picture, a map or a MaterialX file its ``number``.
    public var iteration: Int
    /// 64 lower-case hexadecimal digits; `GET /api/v1/artifacts/{sha256}` returns the bytes.
    public var sha256: String
    public var sizeBytes: Int
    public var createdAt: Date

    public init(role: ArtifactRole, iteration: Int, sha256: String, sizeBytes: Int, createdAt: Date) {
        self.role = role
        self.iteration = iteration
        self.sha256 = sha256
        self.sizeBytes = sizeBytes
        self.createdAt = createdAt
    }

    /// Of a picture, a map or a MaterialX file, from 1.
    public var number: Int { iteration }

    /// What the submission says of this map; nil if the job has no such map.
    public func map(in maps: [MapFile]?) -> MapFile? {
        guard let maps, maps.indices.contains(number - 1) else { return nil }
        return maps[number - 1]
    }

    private enum CodingKeys: String, CodingKey {
        case role = "kind"
        case iteration, sha256, sizeBytes, createdAt
    }
}

/// Answer of `GET /api/v1/jobs/{id}/artifacts`: by kind and iteration, the exemplar first.
public struct ArtifactList: Codable, Sendable, Equatable {
    public var artifacts: [ArtifactSummary]

    public init(artifacts: [ArtifactSummary]) { self.artifacts = artifacts }
}

/// The values measured at one iteration.
public struct MetricsEntry: Codable, Sendable, Equatable {
    public var iteration: Int
    /// The worker's wall clock, for display only.
    public var unixSeconds: Double
    /// By name ("l1", "discriminator_fake", ...), without values that were not measured or are not finite.
    public var values: [String: Float]

    public init(iteration: Int, unixSeconds: Double, values: [String: Float]) {
        self.iteration = iteration
        self.unixSeconds = unixSeconds
        self.values = values
    }
}

/// Answer of `GET /api/v1/jobs/{id}/metrics`: ascending iterations.
public struct MetricsPage: Codable, Sendable, Equatable {
    public var rows: [MetricsEntry]
    /// Pass it as `?after=` to continue; nil if nothing more is stored yet.
    public var next: Int?

    public init(rows: [MetricsEntry], next: Int?) {
        self.rows = rows
        self.next = next
    }
}

/// A line of a job's log.
public struct LogEntry: Codable, Sendable, Equatable {
    /// Ids ascend over the coordinator's life. Pass the last one as `?after=` to continue.
    public var id: Int64
    public var at: Date
    /// debug, info, warning or error.
    public var level: String
    /// "coordinator" or "worker".
    public var source: String
    /// The attempt that the line is about; 0: the job as a whole.
    public var attempt: Int
    public var message: String

    public init(id: Int64, at: Date, level: String, source: String, attempt: Int, message: String) {
        self.id = id
        self.at = at
        self.level = level
        self.source = source
        self.attempt = attempt
        self.message = message
    }
}

/// Answer of `GET /api/v1/jobs/{id}/logs`: oldest first.
public struct LogPage: Codable, Sendable, Equatable {
    public var entries: [LogEntry]
    /// Pass it as `?after=` to continue; nil if nothing more is stored yet.
    public var next: Int64?

    public init(entries: [LogEntry], next: Int64?) {
        self.entries = entries
        self.next = next
    }
}
