import Base
import ClusterCore
import Foundation
import Logging
import Protocol
import Transport

/// Connects the socket and the cluster: messages become events, effects become messages and transfers.
///
/// The gateway knows which connection a session speaks through. The cluster decides who a session is and what it may
/// do.
actor WorkerGateway {
    /// Why a worker with a revoked key is refused.
    static let revocation =
        "this worker's key was revoked; to let it in again, remove the file worker-key in its data "
        + "folder and join with a new invitation (texloom invite)"

    private let socket: RouterSocket
    /// Nil on a plain address.
    private let keys: WorkerKeys?
    private let engine: ClusterEngine
    private let transfers: Transfers
    /// The content of WELCOME in a version of the protocol.
    private let greeting: @Sendable (UInt32) -> Greeting
    private let logger: Logger
    /// Upper limit on worker processes per connection. Normally there is one; more is a flood, or a proxy.
    static let maxSessionsPerPeer = 256

    /// The connection that a greeted session last spoke through, and its protocol version.
    private struct Route {
        var peer: Peer
        var version: UInt32
    }

    private var routes: [UInt64: Route] = [:]
    private var slowMessages = RareNotice()
    private var unexpectedMessages = RareNotice()
    private var refusals = RareNotice()
    private var sessionsOfPeer: [Peer: Set<UInt64>] = [:]
    /// Attempts that a session claims but that belong to no job here. The next answer reports them lost.
    private var foreign: [UInt64: [WireAttemptRef]] = [:]

    init(
        socket: RouterSocket, keys: WorkerKeys? = nil, engine: ClusterEngine, artifacts: ArtifactStore,
        disk: BlockingWork,
        greeting: @escaping @Sendable (UInt32) -> Greeting, logger: Logger
    ) {
        self.socket = socket
        self.keys = keys
        self.engine = engine
        self.greeting = greeting
        self.logger = logger
        transfers = Transfers(artifacts: artifacts, disk: disk, engine: engine, logger: logger)
    }

    /// Works until the task is cancelled or the socket closes.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.receiveAll() }
            group.addTask { await self.performAll() }
            await group.next()
            group.cancelAll()
        }
        transfers.endAll()
    }

    private func receiveAll() async {
        for await incoming in socket.incoming {
            switch incoming {
            case .message(let message, let peer): await receive(message, from: peer)
            // A lost connection comes back under another name. Leases decide what becomes of the work.
            case .gone(let peer):
                for session in sessionsOfPeer[peer] ?? [] { forget(session) }
            case .slow(let peer): noteSlow(peer)
            }
        }
    }

    /// A worker that does not read loses many messages.
    private func noteSlow(_ peer: Peer) {
        guard let count = slowMessages.occurred() else { return }
        logger.warning("a worker does not read its messages", metadata: ["peer": "\(peer)", "dropped": "\(count)"])
    }

    private func receive(_ message: WireMessage, from peer: Peer) async {
        let session = message.session
        guard await mayWork(peer, message) else { return }
        if let route = routes[session], route.peer.key != peer.key {
            return refuse(peer, session, .notAuthorised, "the session belongs to another key")
        }
        let inbound = InboundMessage(message)
        if case .message(.hello(var hello), let foreign) = inbound {
            hello.worker.credentials = WorkerCredentials(
                key: peer.key, secretDigest: hello.secret.isEmpty ? nil : Secret(text: hello.secret).digest)
            let outcome = ProtocolVersion.negotiate(min: hello.minVersion, max: hello.maxVersion)
            guard case .speak(let version) = outcome else { return refuse(hello, outcome, session, peer) }
            guard remember(session, Route(peer: peer, version: version)) else {
                return note(
                    "a connection speaks for too many workers", ["peer": "\(peer)", "worker": "\(hello.worker.name)"])
            }
            self.foreign[session] = foreign.isEmpty ? nil : foreign
            return await engine.post(.received(.hello(hello), session: session))
        }
        guard let route = routes[session] else {
            return socket.send(
                WireMessage(MessageToWorker.helloAgain, session: session, version: message.envelope.version), to: peer)
        }
        if route.peer != peer, !remember(session, Route(peer: peer, version: route.version)) { return }
        switch inbound {
        case .message(.chunk(let chunk, let payload), _): transfers.receive(chunk, payload, from: session)
        case .message(.credit(let credit), _): transfers.receive(credit, from: session)
        case .message(let content, let foreign):
            if case .heartbeat = content { self.foreign[session] = foreign.isEmpty ? nil : foreign }
            await engine.post(.received(content, session: session))
        case .foreign(let id):
            send(
                .acknowledge(id: id, .leaseLost, message: "no such job in this cluster; stop this attempt"), to: session
            )
        case .unexpected: await noteUnexpected(peer)
        }
    }

    // MARK: Keys

    /// Whether the connection is a worker's. Answers those that are not.
    private func mayWork(_ peer: Peer, _ message: WireMessage) async -> Bool {
        guard let keys, let key = peer.key else { return true }
        switch keys.standing(of: key) {
        case .worker:
            if case .keySaved(let saved)? = message.body {
                keys.note(key, saved: [UInt8](saved.serverKey))
                return false
            }
            announce(keys, to: peer, key, message)
            return true
        case .invited:
            if case .join(let join)? = message.body {
                await admit(join, keys, peer, key, message.session)
            } else {
                refuse(peer, message.session, .notAuthorised, "an invitation's key allows nothing but joining")
            }
        case .revoked: refuse(peer, message.session, .notAuthorised, Self.revocation)
        case .unknown: refuse(peer, message.session, .notAuthorised, "the invitation is over")
        }
        return false
    }

    /// Tells the worker which key the coordinator will use. Repeated with the worker's heartbeats until it answers.
    private func announce(_ keys: WorkerKeys, to peer: Peer, _ key: String, _ message: WireMessage) {
        switch message.body {
        case .hello, .heartbeat: break
        default: return
        }
        guard let next = keys.announcement(to: key) else { return }
        var announcement = WireNextKey()
        announcement.serverKey = Data(next)
        socket.send(
            WireMessage(.nextKey(announcement), session: message.session, version: message.envelope.version), to: peer)
    }

    private func admit(_ join: WireJoin, _ keys: WorkerKeys, _ peer: Peer, _ invitation: String, _ session: UInt64)
        async
    {
        let key = hexadecimal(join.publicKey)
        let isRepeated = keys.standing(of: key) == .worker
        do {
            if let reason = try await keys.join(key, name: join.name, invitation: invitation) {
                return refuse(peer, session, .notAuthorised, reason)
            }
        } catch {
            logger.error("a worker cannot join: the job store cannot be written", metadata: ["error": "\(error)"])
            return refuse(peer, session, .tryLater, "the coordinator's disk is full or fails; try again")
        }
        if !isRepeated {
            logger.notice("a worker has joined", metadata: ["key": "\(key)", "name": "\(join.name)"])
        }
        socket.send(WireMessage(.joined(WireJoined()), session: session), to: peer)
    }

    /// Refuses a connection's message.
    private func refuse(_ peer: Peer, _ session: UInt64, _ code: AcknowledgementCode, _ reason: String) {
        note("refused a connection", ["peer": "\(peer)", "key": "\(peer.key ?? "none")", "reason": "\(reason)"])
        let refusal = MessageToWorker.refusal(code, message: reason)
        socket.send(WireMessage(refusal, session: session, version: ProtocolVersion.oldest), to: peer)
    }

    /// Logs few of the refusals: strangers must not fill the disk.
    private func note(_ message: Logger.Message, _ metadata: Logger.Metadata) {
        guard let count = refusals.occurred() else { return }
        logger.warning(message, metadata: metadata.merging(["refusals": "\(count)"]) { $1 })
    }

    /// Tells the worker which side is too old.
    private func refuse(_ hello: Hello, _ outcome: ProtocolVersion.Outcome, _ session: UInt64, _ peer: Peer) {
        let reason =
            "this coordinator (\(texloomVersion)) speaks protocol versions \(ProtocolVersion.oldest) to "
            + "\(ProtocolVersion.newest), the worker (\(hello.worker.softwareVersion)) \(hello.minVersion) to "
            + "\(hello.maxVersion): upgrade the \(outcome == .upgradeWorker ? "worker" : "coordinator")"
        note("refused a worker", ["worker": "\(hello.worker.name)", "reason": "\(reason)"])
        // Uses the oldest version, because every worker can read it.
        let refusal = MessageToWorker.refusal(.versionUnsupported, message: reason)
        socket.send(WireMessage(refusal, session: session, version: ProtocolVersion.oldest), to: peer)
    }

    /// Names the worker that speaks through the connection. As a rule there is only one.
    private func noteUnexpected(_ peer: Peer) async {
        guard let count = unexpectedMessages.occurred() else { return }
        var metadata: Logger.Metadata = ["peer": "\(peer)", "messages": "\(count)"]
        if let session = sessionsOfPeer[peer]?.first { metadata["worker"] = "\(await engine.workerName(session))" }
        logger.warning("a worker sent a message that only coordinators send", metadata: metadata)
    }

    private func performAll() async {
        for await effect in engine.effects {
            switch effect {
            case .send(let message, let session): send(message, to: session)
            case .welcome(let lost, let session):
                guard let version = routes[session]?.version else { break }
                send(.welcome(greeting(version), lost: lost), to: session)
            case .receiveArtifact(let offer, let session):
                transfers.receive(offer, session: session) { [weak self] in await self?.send($0, to: session) }
            case .sendArtifact(let request, let artifact, let session):
                transfers.send(artifact, request, session: session) { [weak self] in await self?.send($0, to: session) }
            case .endTransfers(let attempt): transfers.end(attempt)
            case .closeSession(let session):
                forget(session)
                transfers.end(session: session)
            case .refuse(let session, let code, let reason):
                let worker = await engine.workerName(session)
                note("refused a worker", ["worker": "\(worker)", "reason": "\(reason)"])
                send(.refusal(code, message: reason), to: session)
                forget(session)
            case .record, .reply, .discard, .warn: break
            }
        }
    }

    private func send(_ message: MessageToWorker, to session: UInt64) {
        var lost: [WireAttemptRef] = []
        switch message {
        case .welcome, .heartbeatReply: lost = foreign.removeValue(forKey: session) ?? []
        default: break
        }
        guard let route = routes[session] else { return }
        socket.send(WireMessage(message, session: session, version: route.version, foreign: lost), to: route.peer)
    }

    private func remember(_ session: UInt64, _ route: Route) -> Bool {
        let known = sessionsOfPeer[route.peer] ?? []
        guard known.contains(session) || known.count < Self.maxSessionsPerPeer else { return false }
        if let old = routes[session]?.peer, old != route.peer { unbind(session, from: old) }
        sessionsOfPeer[route.peer, default: []].insert(session)
        routes[session] = route
        return true
    }

    private func forget(_ session: UInt64) {
        if let route = routes.removeValue(forKey: session) { unbind(session, from: route.peer) }
        foreign[session] = nil
    }

    private func unbind(_ session: UInt64, from peer: Peer) {
        sessionsOfPeer[peer]?.remove(session)
        if sessionsOfPeer[peer]?.isEmpty == true { sessionsOfPeer[peer] = nil }
    }
}
