import Foundation

/// Answer of `POST /api/v1/invitations`: what one machine needs to become a worker. No other answer has it.
public struct CreatedInvitation: Codable, Sendable, Equatable {
    /// The argument of `texloom worker --join`.
    public var invitation: String
    /// Where the worker will look for the coordinator.
    public var endpoints: [String]
    public var expiresAt: Date

    public init(invitation: String, endpoints: [String], expiresAt: Date) {
        self.invitation = invitation
        self.endpoints = endpoints
        self.expiresAt = expiresAt
    }
}

/// Answer of `/api/v1/server-key`: the coordinator's key for workers, and a change of it that is under way.
public struct ServerKeyStatus: Codable, Sendable, Equatable {
    public struct Worker: Codable, Sendable, Equatable {
        public var name: String
        /// 64 hexadecimal digits, as all keys here.
        public var key: String

        public init(name: String, key: String) {
            self.name = name
            self.key = key
        }
    }

    public var key: String
    /// The key that is being announced; nil if none is.
    public var nextKey: String?
    /// Workers that have saved it.
    public var saved: [Worker]
    /// Listed workers that have not.
    public var waiting: [Worker]

    public init(key: String, nextKey: String?, saved: [Worker], waiting: [Worker]) {
        self.key = key
        self.nextKey = nextKey
        self.saved = saved
        self.waiting = waiting
    }
}

/// Answer of `POST /api/v1/workers/{id}/revoke`.
public struct RevokedKeys: Codable, Sendable, Equatable {
    /// 64 hexadecimal digits each.
    public var keys: [String]

    public init(keys: [String]) { self.keys = keys }
}
