/// What shows that a worker is the one whose id it uses.
package struct WorkerCredentials: Sendable, Hashable {
    /// The public key of its encrypted connection, as 64 hexadecimal digits; nil on a plain connection.
    package var key: String?
    /// SHA-256 of the secret in its data folder; nil from software that has none.
    package var secretDigest: String?

    package init(key: String? = nil, secretDigest: String? = nil) {
        self.key = key
        self.secretDigest = secretDigest
    }

    /// Whether a worker with the other credentials may act as the worker with these. One of the two must agree: a worker
    /// may get another key, and the coordinator's address may become encrypted. A worker that has shown nothing is open
    /// to all.
    package func admit(_ other: WorkerCredentials) -> Bool {
        if key == nil, secretDigest == nil { return true }
        return key != nil && key == other.key || secretDigest != nil && secretDigest == other.secretDigest
    }

    /// These credentials after the other ones were shown.
    func updated(with other: WorkerCredentials) -> WorkerCredentials {
        WorkerCredentials(key: other.key ?? key, secretDigest: other.secretDigest ?? secretDigest)
    }
}
