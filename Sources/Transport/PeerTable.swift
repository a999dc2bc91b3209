import ClusterCore

/// The peers heard of lately, at most `limit`: what an address open to strangers can cost is bounded.
struct PeerTable {
    private var lastHeard: [Peer: ContinuousClock.Instant] = [:]
    private let limit: Int
    private let idleTime: Duration

    init(limit: Int, idleTime: Duration) {
        self.limit = limit
        self.idleTime = idleTime
    }

    /// Whether a message of this peer is taken.
    mutating func admit(_ peer: Peer, at now: ContinuousClock.Instant) -> Bool {
        if lastHeard[peer] == nil, lastHeard.count >= limit {
            lastHeard = lastHeard.filter { now - $0.value < idleTime }
            guard lastHeard.count < limit else { return false }
        }
        lastHeard[peer] = now
        return true
    }

    mutating func remove(_ peer: Peer) { lastHeard[peer] = nil }
}
