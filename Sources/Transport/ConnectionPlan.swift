/// Decides how a client connects again and again until a server lets it in: to which of the server's addresses, with which
/// of its keys, and what its ended handshakes mean.
///
/// The server may have announced another key. Until it uses that one, either of the two may be right.
struct ConnectionPlan {
    enum Action: Equatable {
        /// Drop the connection, and connect again as the plan now says.
        case reconnect
        /// Ask the server for its greeting. If it is that of a server that does not let this client in, call
        /// ``ConnectionPlan/suspect(_:)``.
        case probe
        case report(LinkFailure)
        /// The server has taken its announced key into use.
        case keepNextKey
    }

    /// A server that is being started also ends handshakes, so the keys change no faster than that.
    private static let keyInterval = Duration.milliseconds(400)
    /// Networks and machines that stall end handshakes too, so each key has to fail that often.
    private static let confirmationsPerKey = 2

    /// `serverKey` is the key of the current connection, `nextServerKey` the other of the two, if there are two.
    private(set) var curve: Curve.Client?
    /// Of the server's address to connect to, modulo their number, which each lookup may change.
    private(set) var addressIndex = 0
    /// Whether the current address has answered.
    private var hasHeard = false
    /// See ``giveUpAddress()``.
    private var isSilent = false
    /// Whether the current connection tries the announced key.
    private var triesNextKey = false
    /// Whether the next connection tries the other key.
    private var changesKeys = false
    /// The keys of the connection before, if the newest one was to have others.
    private var keysBefore: (curve: Curve.Client?, triesNextKey: Bool)?
    /// What ``learn(nextServerKey:)`` has brought.
    private var announcedKey: String?
    private var lastKeyChange: ContinuousClock.Instant
    /// Whether a probe has begun and no handshake has succeeded since.
    private var awaitsProbe = false
    /// What a probe has found, until the next handshake has ended or succeeded.
    private var suspicion: LinkFailure?
    /// How often in a row a server that greeted as ours could has then ended the handshake.
    private var confirmations = 0

    init(curve: Curve.Client?, at now: ContinuousClock.Instant = .now) {
        self.curve = curve
        lastKeyChange = now
    }

    /// The server has announced another key, in Z85.
    mutating func learn(nextServerKey: String) {
        announcedKey = nextServerKey
        if !triesNextKey { curve?.nextServerKey = nextServerKey }
    }

    /// The server's greeting says why it may end handshakes.
    /// - Returns: Whether to connect again, to see the next handshake end. A server that has let this client in since the
    ///   probe began is not suspected.
    mutating func suspect(_ failure: LinkFailure) -> Bool {
        guard awaitsProbe else { return false }
        suspicion = failure
        return true
    }

    /// A message has arrived.
    mutating func heard() { hasHeard = true }

    /// The caller has heard nothing for too long. The next connection goes to the next address, unless this one has
    /// answered at all.
    mutating func giveUpAddress() { isSilent = true }

    /// The connection is dropped, and the next one is about to be made. Where a probe has asked for a greeting, or another
    /// key is to be tried, the address stays.
    mutating func beginConnection() {
        if isSilent, !hasHeard { addressIndex += 1 }
        isSilent = false
        hasHeard = false
        keysBefore = changesKeys ? (curve, triesNextKey) : nil
        if changesKeys { changeKeys() }
    }

    /// The connection that ``beginConnection()`` planned could not be made. The one before stays, with its keys, and the
    /// next one tries the others.
    mutating func keepConnection() {
        guard let before = keysBefore.take() else { return }
        (curve, triesNextKey) = before
        if !triesNextKey, let announcedKey { curve?.nextServerKey = announcedKey }
        changesKeys = true
    }

    mutating func handle(_ finding: HandshakeMonitor.Finding, at now: ContinuousClock.Instant = .now) -> [Action] {
        switch finding {
        case .failure(let failure): return [.report(failure)]
        case .endings(let count): return handshakeEnded(count, now)
        case .success:
            confirmations = 0
            suspicion = nil
            awaitsProbe = false
            changesKeys = false
            guard triesNextKey else { return [] }
            curve?.nextServerKey = nil
            triesNextKey = false
            announcedKey = nil
            return [.keepNextKey]
        }
    }

    /// - Parameter count: how many handshakes in a row the server has ended.
    private mutating func handshakeEnded(_ count: Int, _ now: ContinuousClock.Instant) -> [Action] {
        let suspicion = suspicion.take()
        let keys = curve?.nextServerKey == nil ? 1 : 2
        var actions: [Action] = []
        if keys == 2, suspicion != nil || now - lastKeyChange > Self.keyInterval {
            // Not at once: the current connection may still succeed.
            changesKeys = true
            lastKeyChange = now
            // A probe connects again itself.
            if suspicion == nil { actions.append(.reconnect) }
        }
        if let suspicion {
            confirmations += 1
            if confirmations < Self.confirmationsPerKey * keys {
                awaitsProbe = true
                return actions + [.probe]
            }
            confirmations = 0
            actions.append(.report(suspicion))
        } else if count % HandshakeMonitor.endingsOfSuspicion == 0 {
            confirmations = 0
            awaitsProbe = true
            actions.append(.probe)
        }
        return actions
    }

    private mutating func changeKeys() {
        changesKeys = false
        guard var curve, let next = curve.nextServerKey else { return }
        (curve.serverKey, curve.nextServerKey) = (next, curve.serverKey)
        self.curve = curve
        triesNextKey.toggle()
        if !triesNextKey, let announcedKey { self.curve?.nextServerKey = announcedKey }
    }
}
