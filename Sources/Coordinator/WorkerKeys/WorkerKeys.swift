import Foundation
import OperatingSystem
import Protocol
import Synchronization
import Transport

/// Who may connect to the encrypted address of the workers: the keys on the list, and for an hour those of invitations.
///
/// Every change is in the database before it counts. Questions are answered from memory.
final class WorkerKeys: Sendable {
    static let invitationLifetime: TimeInterval = 3600
    /// Unused invitations at a time.
    static let maxInvitations = 1_000

    /// What a connection with a key may do.
    enum Standing: Sendable, Equatable {
        /// Everything that workers do.
        case worker
        /// Put a worker's key on the list.
        case invited
        case revoked
        case unknown
    }

    private struct State {
        var keys: [String: WorkerKeyStore.Key] = [:]
        var invitations: [String: WorkerKeyStore.Invited] = [:]
        var rotation: ServerKeyRotation
        /// Workers whose keys are on their way to the list.
        var joining = 0
    }

    private let store: WorkerKeyStore
    private let state: Mutex<State>
    /// Lets one change of the coordinator's key run at a time. A change writes the new key and makes file names durable
    /// outside of `state`, which answers handshakes meanwhile.
    private let changesServerKey = Mutex(())
    private let now: @Sendable () -> Date

    init(
        _ store: WorkerKeyStore, rotation: ServerKeyRotation, now: @escaping @Sendable () -> Date = { Date() }
    ) throws {
        self.store = store
        self.now = now
        let (keys, invitations) = try store.load()
        state = Mutex(
            State(
                keys: Dictionary(keys.map { ($0.key, $0) }, uniquingKeysWith: { $1 }),
                invitations: Dictionary(invitations.map { ($0.key, $0) }, uniquingKeysWith: { $1 }),
                rotation: rotation))
    }

    /// The pair with which the workers' address speaks now.
    var serverKeys: CurveKeyPair { state.withLock { $0.rotation.current } }

    // MARK: Questions

    /// For a handshake. A used invitation is good until it expires: its worker may not have heard that it has joined.
    func admission(of key: String) -> Curve.Admission {
        let time = now()
        return state.withLock { state in
            if let known = state.keys[key] { return known.revokedAt == nil ? .admitted : .ended }
            guard let invitation = state.invitations[key] else { return .unknown }
            return invitation.expiresAt > time ? .admitted : .ended
        }
    }

    /// For a message over a connection that exists.
    func standing(of key: String) -> Standing {
        state.withLock { state in
            if let known = state.keys[key] { return known.revokedAt == nil ? .worker : .revoked }
            return state.invitations[key] == nil ? .unknown : .invited
        }
    }

    /// The keys that a person means: one key, or those that begin with at least eight of its digits.
    func keys(matching text: String) -> [WorkerKeyStore.Key] {
        let text = text.lowercased()
        guard text.utf8.count >= 8 else { return [] }
        return state.withLock { state in state.keys.values.filter { $0.key.hasPrefix(text) } }
    }

    // MARK: Changes

    /// Makes an invitation for one worker.
    /// - Parameter endpoints: Where the worker may reach this coordinator.
    /// - Throws: `Problem` (409) if too many invitations are unused.
    func invite(to endpoints: [String]) async throws -> (text: String, expiresAt: Date) {
        let time = now()
        let open = state.withLock { state in
            state.invitations = state.invitations.filter { $0.value.expiresAt > time - Self.invitationLifetime }
            return state.invitations.values.count { $0.usedBy == nil && $0.expiresAt > time }
        }
        guard open < Self.maxInvitations else {
            throw Problem(.conflict, "\(open) invitations are unused; each ends after an hour: wait, or use them")
        }
        let keys = try CurveKeyPair.generate()
        let invited = WorkerKeyStore.Invited(
            key: Z85.hexadecimalKey(keys.publicKey), expiresAt: time + Self.invitationLifetime)
        try await store.add(invited, forgottenBefore: time - Self.invitationLifetime)
        state.withLock { $0.invitations[invited.key] = invited }
        let invitation = Invitation(endpoints: endpoints, serverKey: serverKeys.publicKey, keys: keys)
        return (invitation.text, invited.expiresAt)
    }

    /// Puts a worker's key on the list.
    /// - Parameter invitation: The key of the connection that asks for it.
    /// - Returns: Why not; nil if the key is on the list.
    func join(_ key: String, name: String, invitation: String) async throws -> String? {
        // Before anything else: `finishRotation` either refuses because of this worker, or has ended its invitation.
        state.withLock { $0.joining += 1 }
        defer { state.withLock { $0.joining -= 1 } }
        let time = now()
        guard let invited = state.withLock({ $0.invitations[invitation] }) else {
            return "there is no such invitation; ask for another one (texloom invite)"
        }
        if invited.usedBy == key { return nil }
        guard invited.expiresAt > time else {
            return "the invitation has expired; ask for another one (texloom invite)"
        }
        if let known = state.withLock({ $0.keys[key] }), known.revokedAt != nil {
            return "this worker's key was revoked; remove the file worker-key in its data folder and join again"
        }
        let added = WorkerKeyStore.Key(key: key, name: name, addedAt: time)
        guard try await store.use(invitation, for: added) else {
            return "the invitation was used by another worker; ask for another one (texloom invite)"
        }
        state.withLock { state in
            state.invitations[invitation]?.usedBy = key
            if state.keys[key] == nil { state.keys[key] = added }
        }
        return nil
    }

    // MARK: The coordinator's own key

    /// The key that the worker should be told about; nil if there is none or the worker has saved it.
    func announcement(to worker: String) -> [UInt8]? {
        state.withLock { state in
            guard let next = state.rotation.next, !state.rotation.savedBy.contains(worker) else { return nil }
            return Z85.bytes(of: next.publicKey)
        }
    }

    /// The worker has saved the announced key.
    func note(_ worker: String, saved key: [UInt8]) {
        state.withLock { state in
            guard let next = state.rotation.next, Z85.bytes(of: next.publicKey) == key else { return }
            state.rotation.savedBy.insert(worker)
        }
    }

    var rotation: ServerKeyStatus { state.withLock { Self.rotation(of: $0) } }

    private static func rotation(of state: State) -> ServerKeyStatus {
        let workers = state.keys.values.filter { $0.revokedAt == nil }.map { key in
            ServerKeyStatus.Worker(name: key.name, key: key.key)
        }.sorted { ($0.name, $0.key) < ($1.name, $1.key) }
        let savedBy = state.rotation.savedBy
        return ServerKeyStatus(
            key: Z85.hexadecimalKey(state.rotation.current.publicKey),
            nextKey: state.rotation.next.map { Z85.hexadecimalKey($0.publicKey) },
            saved: workers.filter { savedBy.contains($0.key) },
            waiting: state.rotation.next == nil ? [] : workers.filter { !savedBy.contains($0.key) })
    }

    /// Makes the next key and begins to announce it. Nothing happens while an earlier one is being announced.
    /// - Throws: `Problem`: 503 if the key cannot be written, 409 if its file is there already and cannot be used.
    func beginRotation() throws {
        try changesServerKey.withLock { _ in
            let (isAnnouncing, file) = state.withLock { ($0.rotation.next != nil, $0.rotation.nextFile) }
            guard !isAnnouncing else { return }
            let exists = FileManager.default.fileExists(atPath: file.path)
            let pair: CurveKeyPair
            do {
                pair = try CurveKeyPair.load(orCreate: file)
            } catch {
                // Another try would not mend a file that is there.
                throw exists ? Problem(.conflict, "\(error)") : Problem.unwritable("the new key", "\(error)")
            }
            state.withLock { $0.rotation.announce(pair) }
        }
    }

    /// Takes the announced key into use. Invitations that are not used by now have the old key: they end.
    /// - Parameter leavesWorkersBehind: Whether to do it although some workers have not saved the key.
    /// - Throws: `Problem` (409) if no key was announced, or if workers lack it, also those that are joining.
    func finishRotation(leavesWorkersBehind: Bool) throws {
        try changesServerKey.withLock { _ in
            // One lock for the look and the change, so that no worker begins to join in between and is left behind.
            let folder = try state.withLock { state in
                let waiting = Self.rotation(of: state).waiting
                guard leavesWorkersBehind || waiting.isEmpty else { throw Self.problem(ofWaiting: waiting) }
                guard leavesWorkersBehind || state.joining == 0 else {
                    throw Problem(.conflict, "a worker is joining with the old key; try again")
                }
                guard try state.rotation.finish() else {
                    throw Problem(.conflict, "no new key is being announced; begin with 'texloom workers rotate-key'")
                }
                // Also over connections that are left, no worker joins with the old key.
                state.invitations = state.invitations.filter { $0.value.usedBy != nil }
                return state.rotation.nextFile.deletingLastPathComponent()
            }
            // The new key is in use from here on, whatever the disk says.
            try? DurableFile.sync(folder)
        }
    }

    private static func problem(ofWaiting workers: [ServerKeyStatus.Worker]) -> Problem {
        let names = workers.prefix(5).map { "\($0.name) (\($0.key.prefix(16)))" }.joined(separator: ", ")
        return Problem(
            .conflict,
            "\(workers.count) workers have not saved the new key, among them \(names): wait until they have connected, "
                + "revoke those that will not come back, or add --force; those must then join again")
    }

    func revoke(_ key: String) async throws {
        let time = now()
        try await store.revoke(key, at: time)
        state.withLock { state in
            if state.keys[key]?.revokedAt == nil { state.keys[key]?.revokedAt = time }
        }
    }

    /// Takes keys off the list that the database no longer has: those of workers that have been away for too long.
    func forget(_ keys: [String]) {
        state.withLock { state in
            for key in keys { state.keys[key] = nil }
            state.rotation.savedBy.subtract(keys)
        }
    }
}
