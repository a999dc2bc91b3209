import Foundation

/// What a caller of the HTTP API may do. Each role includes those before it.
public enum AccessRole: String, Codable, Sendable, CaseIterable, Comparable {
    /// Reads jobs, results, workers and metrics.
    case viewer
    /// Also submits, cancels, retries and reorders jobs.
    case submitter
    /// Also manages workers and tokens, and reads the audit log.
    case admin

    public static func < (a: AccessRole, b: AccessRole) -> Bool {
        allCases.firstIndex(of: a)! < allCases.firstIndex(of: b)!
    }
}

/// A token without its secret.
public struct TokenSummary: Codable, Sendable, Equatable {
    public var name: String
    public var role: AccessRole
    public var createdAt: Date
    /// Absent: the token does not expire.
    public var expiresAt: Date?
    public var revokedAt: Date?

    public init(name: String, role: AccessRole, createdAt: Date, expiresAt: Date?, revokedAt: Date?) {
        self.name = name
        self.role = role
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.revokedAt = revokedAt
    }
}

public struct TokenList: Codable, Sendable {
    public var tokens: [TokenSummary]

    public init(tokens: [TokenSummary]) { self.tokens = tokens }
}

public struct TokenRequest: Codable, Sendable {
    public var name: String
    public var role: AccessRole
    /// Absent: the token does not expire.
    public var lifetimeSeconds: Double?

    public init(name: String, role: AccessRole, lifetimeSeconds: Double? = nil) {
        self.name = name
        self.role = role
        self.lifetimeSeconds = lifetimeSeconds
    }
}

/// A new token. Its secret is in no other answer.
public struct CreatedToken: Codable, Sendable {
    /// Lets people and secret scanners recognise a token.
    public static let prefix = "txl_"

    public var token: TokenSummary
    public var secret: String

    public init(token: TokenSummary, secret: String) {
        self.token = token
        self.secret = secret
    }
}

/// A line of the audit log: who changed what.
public struct AuditEntry: Codable, Sendable, Equatable {
    public var time: Date
    /// The token's name, `anonymous`, or `local:USER` for a command that works on the data folder.
    public var who: String
    public var role: AccessRole?
    /// The caller's network address, or `this machine`.
    public var from: String
    /// Such as `job.cancel`.
    public var action: String
    /// What was changed: a job's id, a worker's id, a token's name.
    public var object: String
    /// `ok`, or an HTTP status and reason.
    public var result: String

    public init(
        time: Date = Date(), who: String, role: AccessRole?, from: String, action: String, object: String,
        result: String
    ) {
        self.time = time
        self.who = who
        self.role = role
        self.from = from
        self.action = action
        self.object = object
        self.result = result
    }
}

public struct AuditPage: Codable, Sendable {
    /// Oldest first.
    public var entries: [AuditEntry]

    public init(entries: [AuditEntry]) { self.entries = entries }
}
