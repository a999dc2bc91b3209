import Foundation
import GRDB
import Protocol

/// The tokens of the HTTP API and the sessions of browsers that logged in with one.
///
/// Every request reads the database, without a cache: a token that another process creates or revokes counts at once.
struct TokenStore: Sendable {
    static let sessionLifetime: TimeInterval = 7 * 24 * 3600
    /// Sessions of one token; a further login ends the oldest.
    static let sessionsPerToken = 100
    static let maxTokens = 10_000
    static let maxLifetime: TimeInterval = 10 * 366 * 24 * 3600

    let pool: DatabasePool
    private let now: @Sendable () -> Date

    init(pool: DatabasePool, now: @escaping @Sendable () -> Date = { Date() }) {
        self.pool = pool
        self.now = now
    }

    // MARK: Tokens

    /// Makes a token. The secret is nowhere else afterwards.
    /// - Throws: `Problem`: 409 if a token in use has the name, 422 for an unusable name or lifetime.
    func create(_ request: TokenRequest) async throws -> CreatedToken {
        try Self.validate(request)
        let secret = Secret.random(prefix: CreatedToken.prefix)
        let created = now()
        let expires = request.lifetimeSeconds.map { created.addingTimeInterval($0) }
        try await pool.write { db in
            let taken = try Bool.fetchOne(
                db, sql: "SELECT EXISTS (SELECT 1 FROM tokens WHERE name = ? AND \(Self.valid))",
                arguments: [request.name, created.timeIntervalSince1970])
            guard taken != true else {
                throw Problem(
                    .conflict, "a token in use has the name '\(request.name)'; choose another name, or revoke that one")
            }
            let count = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM tokens") ?? 0
            if count >= Self.maxTokens {
                // Makes room. Tokens in use stay.
                try db.execute(
                    sql: "DELETE FROM tokens WHERE NOT (\(Self.valid))", arguments: [created.timeIntervalSince1970])
            }
            guard try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM tokens") ?? 0 < Self.maxTokens else {
                throw Problem(.conflict, "\(Self.maxTokens) tokens are in use; revoke some")
            }
            try db.execute(
                sql: "INSERT INTO tokens (name, role, digest, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
                arguments: [
                    request.name, request.role.rawValue, secret.digest, created.timeIntervalSince1970,
                    expires?.timeIntervalSince1970,
                ])
        }
        let token = TokenSummary(
            name: request.name, role: request.role, createdAt: created, expiresAt: expires, revokedAt: nil)
        return CreatedToken(token: token, secret: secret.text)
    }

    private static func validate(_ request: TokenRequest) throws {
        let name = request.name
        guard (1...64).contains(name.utf8.count), name.unicodeScalars.allSatisfy({ Self.nameScalars.contains($0) })
        else {
            throw Problem(
                .unprocessableContent,
                "the token's name is '\(name)'; expected 1 to 64 letters, digits and characters of . _ - @")
        }
        guard name != Principal.anonymousName else {
            throw Problem(.unprocessableContent, "the name '\(name)' means callers without a token; choose another")
        }
        if let lifetime = request.lifetimeSeconds {
            guard (1...maxLifetime).contains(lifetime) else {
                throw Problem(
                    .unprocessableContent,
                    "lifetimeSeconds is \(lifetime); expected 1...\(Int(maxLifetime)) (ten years)")
            }
        }
    }

    private static let nameScalars = Set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@".unicodeScalars)

    /// Every token, oldest first, also expired and revoked ones.
    func list() async throws -> [TokenSummary] {
        try await pool.read { db in
            try StoredRow.all(db, sql: "SELECT * FROM tokens ORDER BY id").map { row in
                try TokenSummary(
                    name: row["name"], role: Self.role(row["role"]),
                    createdAt: Date(timeIntervalSince1970: row["created_at"]),
                    expiresAt: (try row["expires_at"] as Double?).map(Date.init(timeIntervalSince1970:)),
                    revokedAt: (try row["revoked_at"] as Double?).map(Date.init(timeIntervalSince1970:)))
            }
        }
    }

    /// Ends a token and the sessions that it opened.
    /// - Throws: `Problem` (404) if no valid token has the name.
    func revoke(_ name: String) async throws {
        let time = now().timeIntervalSince1970
        try await pool.write { db in
            try db.execute(
                sql: "UPDATE tokens SET revoked_at = ?2 WHERE name = ?1 AND revoked_at IS NULL "
                    + "AND (expires_at IS NULL OR expires_at > ?2)",
                arguments: [name, time])
            guard db.changesCount > 0 else {
                throw Problem(.notFound, "no token in use has the name '\(name)'; texloom tokens list shows them")
            }
            try db.execute(
                sql: "DELETE FROM sessions WHERE token IN (SELECT id FROM tokens WHERE revoked_at IS NOT NULL)")
        }
    }

    // MARK: Callers

    /// A token neither expired nor revoked, at the time `?`.
    private static let valid = "revoked_at IS NULL AND IFNULL(expires_at, 1e18) > ?"

    /// The caller that a token proves; nil if it is unknown, expired or revoked.
    func principal(token: String) async throws -> Principal? {
        guard token.hasPrefix(CreatedToken.prefix) else { return nil }
        return try await principal(
            sql: "SELECT id, name, role FROM tokens WHERE digest = ? AND \(Self.valid)", Secret(text: token).digest)
    }

    /// The caller of a browser's session; nil if it has ended.
    func principal(session: String) async throws -> Principal? {
        try await principal(
            sql: """
                SELECT tokens.id AS id, name, role FROM sessions JOIN tokens ON tokens.id = token
                WHERE sessions.digest = ?1 AND revoked_at IS NULL AND IFNULL(tokens.expires_at, 1e18) > ?2
                    AND sessions.expires_at > ?2
                """, Secret(text: session).digest)
    }

    private func principal(sql: String, _ digest: String) async throws -> Principal? {
        let time = now().timeIntervalSince1970
        return try await pool.read { db in
            try StoredRow.all(db, sql: sql, arguments: [digest, time]).first.map { row in
                try Principal(name: row["name"], role: Self.role(row["role"]), tokenID: row["id"])
            }
        }
    }

    /// Whether a caller's token still counts.
    func isValid(_ id: Int64) async throws -> Bool {
        let time = now().timeIntervalSince1970
        return try await pool.read { db in
            try Bool.fetchOne(
                db, sql: "SELECT EXISTS (SELECT 1 FROM tokens WHERE id = ? AND \(Self.valid))", arguments: [id, time])
                ?? false
        }
    }

    /// A role that this program does not know gives no rights beyond reading.
    private static func role(_ text: String) -> AccessRole { AccessRole(rawValue: text) ?? .viewer }

    // MARK: Sessions

    /// Opens a session for a caller with a token.
    func openSession(of token: Int64) async throws -> Secret {
        let secret = Secret.random()
        let time = now()
        let expires = time.addingTimeInterval(Self.sessionLifetime)
        try await pool.write { db in
            try db.execute(sql: "DELETE FROM sessions WHERE expires_at <= ?", arguments: [time.timeIntervalSince1970])
            try db.execute(
                sql: """
                    DELETE FROM sessions WHERE token = ?1 AND digest NOT IN
                        (SELECT digest FROM sessions WHERE token = ?1 ORDER BY expires_at DESC LIMIT ?2)
                    """, arguments: [token, Self.sessionsPerToken - 1])
            try db.execute(
                sql: "INSERT INTO sessions (digest, token, expires_at) VALUES (?, ?, ?)",
                arguments: [secret.digest, token, expires.timeIntervalSince1970])
        }
        return secret
    }

    func closeSession(_ session: String) async throws {
        let digest = Secret(text: session).digest
        try await pool.write { try $0.execute(sql: "DELETE FROM sessions WHERE digest = ?", arguments: [digest]) }
    }
}
