/// The peers that have spoken lately, at most `limit`: it bounds what strangers can cost an open address.
struct PeerTable {
    private var lastHeard: [Peer: ContinuousClock.Instant] = [:]
    private let limit: Int
    private let idleTime: Duration

    init(limit: Int, idleTime: Duration) {
        self.limit = limit
        self.idleTime = idleTime
    }

    /// Whether to accept a message of this peer.
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
