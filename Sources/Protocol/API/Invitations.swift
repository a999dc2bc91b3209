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

/// Answer of `POST /api/v1/workers/{id}/revoke`.
public struct RevokedKeys: Codable, Sendable, Equatable {
    /// 64 hexadecimal digits each.
    public var keys: [String]

    public init(keys: [String]) { self.keys = keys }
}
