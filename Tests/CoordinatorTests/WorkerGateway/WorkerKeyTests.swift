import Base
import ClusterFixtures
import Foundation
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator
@testable import Transport

/// Workers with keys, on an encrypted address, and attempts to be one of them.
@Suite("Worker keys", .timeLimit(.minutes(10)))
struct WorkerKeyTests {
    /// An encrypted coordinator on loopback, and what its admin does.
    struct Secured {
        let coordinator: RunningCoordinator
        let authorization: [String: String]

        init(folder: TemporaryFolder = TemporaryFolder()) async throws {
            coordinator = try await RunningCoordinator(folder: folder) { $0.requiresAuthentication = true }
            let token = try await coordinator.token(.admin, name: "admin-\(UInt64.random(in: 0...UInt64.max))")
            authorization = ["Authorization": "Bearer \(token)"]
        }

        func invite() async throws -> Invitation {
            let answer = try await coordinator.send("POST", "/api/v1/invitations", headers: authorization)
            #expect(answer.status == 201)
            let invitation = try Invitation(answer.decoded(CreatedInvitation.self).invitation)
            #expect(invitation.endpoints == [coordinator.addresses.workerEndpoint])
            return invitation
        }

        func revoke(_ name: String) async throws -> RunningCoordinator.Answer {
            try await coordinator.send("POST", "/api/v1/workers/\(name)/revoke", headers: authorization)
        }

        func worker(_ session: UInt64, _ keys: CurveKeyPair, server: String) throws -> ScriptedWorker {
            try ScriptedWorker(
                coordinator.addresses.workerEndpoint, session: session,
                curve: Curve.Client(keys: keys, serverKey: server))
        }

        /// A worker that has joined.
        func joined(_ session: UInt64) async throws -> (worker: ScriptedWorker, keys: CurveKeyPair) {
            let invitation = try await invite()
            let keys = try CurveKeyPair.generate()
            let guest = try worker(session, invitation.keys, server: invitation.serverKey)
            guest.send(Self.join(keys))
            try await guest.next("JOINED") { if case .joined? = $0.body { () } else { nil } }
            await guest.socket.close()
            return (try worker(session, keys, server: invitation.serverKey), keys)
        }

        static func join(_ keys: CurveKeyPair) -> WireMessage.Body {
            var join = WireJoin()
            join.publicKey = Data(Z85.bytes(of: keys.publicKey)!)
            join.name = "scripted"
            return .join(join)
        }
    }

    private func firstFailure(_ worker: ScriptedWorker) async -> LinkFailure? {
        var failures = worker.socket.failures.makeAsyncIterator()
        return await failures.next()
    }

    @Test func anInvitationLetsOneWorkerInAndItsKeyStays() async throws {
        let folder = TemporaryFolder()
        var secured = try await Secured(folder: folder)
        let invitation = try await secured.invite()
        let keys = try CurveKeyPair.generate()
        let stranger = try secured.worker(1, keys, server: invitation.serverKey)
        #expect(await firstFailure(stranger) == .unknownKey)

        let guest = try secured.worker(2, invitation.keys, server: invitation.serverKey)
        // The invitation's key does nothing else.
        guest.hello()
        #expect(try await guest.refusal().code == .notAuthorised)
        let late = try secured.worker(3, invitation.keys, server: invitation.serverKey)
        late.hello()
        #expect(try await late.refusal().code == .notAuthorised)
        guest.send(Secured.join(keys))
        try await guest.next("JOINED") { if case .joined? = $0.body { () } else { nil } }
        // A lost answer: the same worker may ask again.
        guest.send(Secured.join(keys))
        try await guest.next("JOINED") { if case .joined? = $0.body { () } else { nil } }
        guest.send(Secured.join(try CurveKeyPair.generate()))
        #expect(try await guest.refusal().message.contains("used by another worker"))
        // The connection of another guest may be as old as the first one.
        late.send(Secured.join(try CurveKeyPair.generate()))
        #expect(try await late.refusal().message.contains("used by another worker"))
        // So may a new connection: the first one may have ended before the answer.
        let later = try secured.worker(4, invitation.keys, server: invitation.serverKey)
        later.send(Secured.join(keys))
        try await later.next("JOINED") { if case .joined? = $0.body { () } else { nil } }
        later.send(Secured.join(try CurveKeyPair.generate()))
        #expect(try await later.refusal().message.contains("used by another worker"))

        let worker = try secured.worker(5, keys, server: invitation.serverKey)
        worker.hello()
        _ = try await worker.welcome()
        let list = try await secured.coordinator.get("/api/v1/workers", headers: secured.authorization)
            .decoded(WorkerList.self)
        #expect(list.workers.map(\.key) == [Z85.hexadecimalKey(keys.publicKey)])
        for socket in [stranger, guest, late, later, worker] { await socket.socket.close() }
        await secured.coordinator.stop()

        // The list and the server's key outlive the coordinator.
        secured = try await Secured(folder: folder)
        let returned = try secured.worker(6, keys, server: invitation.serverKey)
        returned.hello()
        _ = try await returned.welcome()
        await returned.socket.close()
        await secured.coordinator.stop()
    }

    @Test func anInvitationEndsAfterAnHour() async throws {
        let folder = TemporaryFolder()
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        let clock = TestClock()
        let keys = try WorkerKeys(
            WorkerKeyStore(pool: store.pool), rotation: rotation(in: folder), now: { clock.now })
        let invitation = try Invitation(try await keys.invite(to: ["tcp://127.0.0.1:1"]).text)
        let key = Z85.hexadecimalKey(invitation.keys.publicKey)
        let worker = String(repeating: "a", count: 64)
        clock.now += WorkerKeys.invitationLifetime - 1
        #expect(keys.admission(of: key) == .admitted)
        clock.now += 2
        #expect(keys.admission(of: key) == .ended)
        #expect(try await keys.join(worker, name: "late", invitation: key)?.contains("expired") == true)
        #expect(keys.admission(of: worker) == .unknown)
        try store.close()
    }

    @Test func aThousandInvitationsMayBeUnused() async throws {
        let folder = TemporaryFolder()
        let store = try JobStore(file: folder.database, newCoordinatorID: "c")
        let clock = TestClock()
        try await store.pool.write { [clock] db in
            for number in 1..<WorkerKeys.maxInvitations {
                try db.execute(
                    sql: "INSERT INTO invitations (key, expires_at) VALUES (?, ?)",
                    arguments: ["\(number)", clock.now.addingTimeInterval(60).timeIntervalSince1970])
            }
        }
        let keys = try WorkerKeys(
            WorkerKeyStore(pool: store.pool), rotation: rotation(in: folder), now: { clock.now })
        _ = try await keys.invite(to: ["tcp://127.0.0.1:1"])
        let problem = await #expect(throws: Problem.self) { try await keys.invite(to: ["tcp://127.0.0.1:1"]) }
        #expect(problem?.status == .conflict)
        // All but the last one have ended.
        clock.now += 61
        _ = try await keys.invite(to: ["tcp://127.0.0.1:1"])
        try store.close()
    }

    /// Puts a key on the list.
    private func join(_ digit: Character, _ keys: WorkerKeys) async throws -> String {
        let invitation = try Invitation(try await keys.invite(to: ["tcp://127.0.0.1:1"]).text)
        let key = String(repeating: digit, count: 64)
        let refusal = try await keys.join(
            key, name: "worker \(digit)", invitation: Z85.hexadecimalKey(invitation.keys.publicKey))
        #expect(refusal == nil)
        return key
    }

    private func record(_ id: String, _ key: String, at time: Date, in store: JobStore) async throws {
        var worker = WorkerIdentity.named(id)
        worker.credentials.key = key
        try await store.apply([.worker(worker, session: 1, isDraining: false, isConnected: true)], at: time)
    }

    private func janitor(
        of store: JobStore, in folder: TemporaryFolder, keys: WorkerKeys?,
        state: ClusterState = ClusterState(at: .origin)
    ) throws -> Janitor {
        let artifacts = try ArtifactStore(dataFolder: folder.url)
        let engine = ClusterEngine(store, artifacts, state: state)
        return Janitor(store, artifacts, in: folder, engine: engine, keys: keys)
    }

    /// What happens to two keys between `start` and 30 days later. One has a worker.
    private func twoKeys(
        _ body: (JobStore, TemporaryFolder, WorkerKeys, _ keys: [String], _ start: Date) async throws -> Void
    ) async throws {
        let folder = TemporaryFolder()
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        let start = Date(timeIntervalSince1970: 1_000_000)
        let list = try WorkerKeys(WorkerKeyStore(pool: store.pool), rotation: rotation(in: folder), now: { start })
        let keys = [try await join("a", list), try await join("b", list)]
        try await record("a", keys[0], at: start, in: store)
        try await body(store, folder, list, keys, start)
        try store.close()
    }

    @Test func keysEndThirtyDaysAfterTheirWorkerWasSeenWhileTheCoordinatorRuns() async throws {
        try await twoKeys { store, folder, list, keys, start in
            let janitor = try janitor(of: store, in: folder, keys: list)
            let (end, half) = (start + Janitor.workerLifetime, Janitor.interval.inSeconds / 2)
            try await janitor.forgetWorkers(at: end - half)
            for key in keys { #expect(list.admission(of: key) == .admitted) }
            try await janitor.forgetWorkers(at: end + half)
            for key in keys { #expect(list.admission(of: key) == .unknown) }
            #expect(try await store.workers().isEmpty)
        }
    }

    /// So does a clock that jumps.
    @Test func theCoordinatorsOwnAbsenceEndsNoKey() async throws {
        try await twoKeys { store, folder, list, keys, start in
            let janitor = try janitor(of: store, in: folder, keys: list)
            try await janitor.forgetWorkers(at: start)
            let back = start + Janitor.workerLifetime + 86_400
            for time in [back, back + Janitor.interval.inSeconds] { try await janitor.forgetWorkers(at: time) }
            for key in keys { #expect(list.admission(of: key) == .admitted) }
            #expect(try await store.workers().map(\.identity.id) == ["a"])
        }
    }

    @Test func aTimeOnAPlainAddressEndsNoKey() async throws {
        try await twoKeys { store, folder, list, keys, start in
            let plain = try janitor(of: store, in: folder, keys: nil)
            let (end, half) = (start + Janitor.workerLifetime, Janitor.interval.inSeconds / 2)
            for time in [end - half, end + half] { try await plain.forgetWorkers(at: time) }
            #expect(try await store.workers().isEmpty)
            let restarted = try WorkerKeys(WorkerKeyStore(pool: store.pool), rotation: rotation(in: folder))
            let encrypted = try janitor(of: store, in: folder, keys: restarted)
            try await encrypted.forgetWorkers(at: end + 3 * half)
            for key in keys { #expect(restarted.admission(of: key) == .admitted) }
        }
    }

    @Test func theKeyOfAWorkerThatIsAwayForThirtyDaysEndsWithTheWorker() async throws {
        let folder = TemporaryFolder()
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        let clock = TestClock()
        let longAgo = Date(timeIntervalSinceNow: -Janitor.workerLifetime - 3600)
        clock.now = longAgo
        let keys = try WorkerKeys(
            WorkerKeyStore(pool: store.pool), rotation: rotation(in: folder), now: { clock.now })
        func join(_ digit: Character) async throws -> String { try await self.join(digit, keys) }
        func record(_ id: String, _ key: String, at time: Date) async throws {
            try await self.record(id, key, at: time, in: store)
        }
        let (gone, silent, connected) = (try await join("a"), try await join("b"), try await join("c"))
        let (moved, revoked) = (try await join("d"), try await join("e"))
        try await keys.revoke(revoked)
        let (lately, replaced) = (try await join("7"), try await join("8"))
        clock.now = Date()
        let young = try await join("f")
        for key in [lately, replaced] { try await keys.revoke(key) }
        try await record("gone", gone, at: longAgo)
        try await record("connected", connected, at: longAgo)
        // One key under two ids, because its folder lost the file worker-id.
        try await record("before", moved, at: longAgo)
        try await record("after", moved, at: Date())
        try await record("revoked", revoked, at: longAgo)
        try await record("revoked lately", lately, at: longAgo)
        // Its machine has joined again, with a new key under the same id.
        try await record("replaced", replaced, at: longAgo)
        try await record("replaced", young, at: Date())

        var state = ClusterState(at: .origin)
        _ = state.handle(.hello(session: 1, worker: .named("connected"), running: []), at: .origin)
        try await janitor(of: store, in: folder, keys: keys, state: state).forgetWorkers()

        let restarted = try WorkerKeys(WorkerKeyStore(pool: store.pool), rotation: rotation(in: folder))
        for list in [keys, restarted] {
            for key in [gone, silent, revoked] { #expect(list.admission(of: key) == .unknown, "\(key.prefix(1))") }
            for key in [lately, replaced] { #expect(list.admission(of: key) == .ended, "\(key.prefix(1))") }
            for key in [connected, moved, young] { #expect(list.admission(of: key) == .admitted, "\(key.prefix(1))") }
        }
        try keys.beginRotation()
        #expect(keys.rotation.waiting.map(\.key) == [connected, moved, young], "the change waits for no other")
        let seen = try #require(try await store.workers().first { $0.identity.id == "connected" }).lastSeenAt
        #expect(seen > longAgo + 3600, "a restart does not take it for a worker that was away")
        // The same folder may join again.
        #expect(try await join("a") == gone && keys.admission(of: gone) == .admitted)
        try store.close()
    }

    @Test func twoWorkersThatUseOneInvitationAtOnceAreNotBothIn() async throws {
        let folder = TemporaryFolder()
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        let keys = try WorkerKeys(WorkerKeyStore(pool: store.pool), rotation: rotation(in: folder))
        let invitation = try Invitation(try await keys.invite(to: ["tcp://127.0.0.1:1"]).text)
        let guest = Z85.hexadecimalKey(invitation.keys.publicKey)
        let refusals = try await withThrowingTaskGroup(of: String?.self) { group in
            for index in 0..<16 {
                let key = String(repeating: "\(index % 10)", count: 32) + String(repeating: "\(index / 10)", count: 32)
                group.addTask { try await keys.join(key, name: "w", invitation: guest) }
            }
            return try await group.reduce(into: [String?]()) { $0.append($1) }
        }
        #expect(refusals.count { $0 == nil } == 1)
        try keys.beginRotation()
        #expect(keys.rotation.waiting.count == 1, "one is on the list")
        try store.close()
    }

    @Test func anotherKeyCannotTakeAWorkersIDOrSession() async throws {
        let secured = try await Secured()
        let (honest, _) = try await secured.joined(21)
        let (hostile, _) = try await secured.joined(22)
        honest.hello(id: "honest", secret: String(repeating: "h", count: 64))
        _ = try await honest.welcome()
        let accepted = try await secured.submit("wood")
        let assign = try await honest.askForWork()
        #expect(assign.attempt.jobID == accepted)

        for _ in 0..<20 {
            hostile.hello(id: "honest", secret: String(repeating: "x", count: 64))
            let refusal = try await hostile.refusal()
            #expect(refusal.code == .notAuthorised && refusal.message.contains("honest"))
        }
        // The session's number, even if it became known, is of no use to another key.
        let thief = try secured.worker(21, hostileKeys(hostile), server: hostileServer(hostile))
        thief.send(.heartbeat(WireHeartbeat()))
        #expect(try await thief.refusal().code == .notAuthorised)
        thief.hello(id: "honest")
        #expect(try await thief.refusal().code == .notAuthorised)

        try await honest.handBack(assign.attempt)
        for worker in [honest, hostile, thief] { await worker.socket.close() }
        await secured.coordinator.stop()
    }

    private func hostileKeys(_ worker: ScriptedWorker) -> CurveKeyPair { worker.curve!.keys }
    private func hostileServer(_ worker: ScriptedWorker) -> String { worker.curve!.serverKey }

    @Test func aRevokedWorkerIsOutAtOnceAndItsJobIsFree() async throws {
        let secured = try await Secured()
        let (worker, keys) = try await secured.joined(31)
        worker.hello(id: "revoked-one")
        _ = try await worker.welcome()
        let accepted = try await secured.submit("wood")
        #expect(try await worker.askForWork().attempt.jobID == accepted)
        let answer = try await secured.revoke("revoked-one")
        #expect(try answer.decoded(RevokedKeys.self).keys == [Z85.hexadecimalKey(keys.publicKey)])
        let refusal = try await worker.refusal()
        #expect(refusal.code == .notAuthorised && refusal.message.contains("revoked"))
        // Also over the connection that it still has.
        worker.send(.heartbeat(WireHeartbeat()))
        #expect(try await worker.refusal().code == .notAuthorised)
        let again = try secured.worker(32, keys, server: worker.curve!.serverKey)
        #expect(await firstFailure(again) == .endedKey)
        let (other, _) = try await secured.joined(33)
        other.hello()
        _ = try await other.welcome()
        #expect(try await other.askForWork().attempt.jobID == accepted)
        #expect(try await secured.revoke("nobody-there").status == 404)
        for worker in [worker, again, other] { await worker.socket.close() }
        await secured.coordinator.stop()
    }

    // MARK: Plain addresses

    @Test func theIDThatTheAPIShowsDoesNotMakeAWorker() async throws {
        let coordinator = try await RunningCoordinator()
        let accepted = try await coordinator.submit("wood")
        let endpoint = coordinator.addresses.workerEndpoint
        let honest = try ScriptedWorker(endpoint, session: 41)
        honest.hello(id: "honest", secret: String(repeating: "h", count: 64))
        _ = try await honest.welcome()
        let attempt = try await honest.askForWork().attempt
        #expect(attempt.jobID == accepted[0].id)
        let hostile = try ScriptedWorker(endpoint, session: 42)
        for secret in ["", String(repeating: "x", count: 64)] {
            hostile.hello(id: "honest", secret: secret)
            #expect(try await hostile.refusal().code == .notAuthorised)
        }
        // Its next process takes over, as before.
        let next = try ScriptedWorker(endpoint, session: 43)
        var status = WireAttemptStatus()
        status.attempt = attempt
        next.hello(id: "honest", running: [status], secret: String(repeating: "h", count: 64))
        #expect(try await next.welcome().lost.isEmpty)
        try await next.handBack(attempt)
        // A worker of an earlier version has no secret.
        for session in [44, 45] as [UInt64] {
            let old = try ScriptedWorker(endpoint, session: session)
            old.hello(id: "old")
            _ = try await old.welcome()
            await old.socket.close()
        }
        for worker in [honest, hostile, next] { await worker.socket.close() }
        await coordinator.stop()
    }

    @Test func theDigestOfAnotherJobsArtifactBringsNoReceipt() async throws {
        let coordinator = try await RunningCoordinator()
        _ = try await coordinator.submit("wood", "stone")
        let endpoint = coordinator.addresses.workerEndpoint
        let (first, second) = (try ScriptedWorker(endpoint, session: 51), try ScriptedWorker(endpoint, session: 52))
        var attempts: [WireAttemptRef] = []
        for worker in [first, second] {
            worker.hello()
            _ = try await worker.welcome()
            attempts.append(try await worker.askForWork().attempt)
        }
        let checkpoint = [UInt8](repeating: 9, count: 5000)
        guard case .artifactReceipt = try await first.upload(checkpoint, .checkpoint, iteration: 5, of: attempts[0])
        else {
            Issue.record("the owner gets a receipt")
            return
        }
        var offer = WireArtifactOffer()
        offer.attempt = attempts[1]
        offer.transferID = second.id()
        offer.kind = .checkpoint
        offer.artifact = ScriptedWorker.artifact(checkpoint)
        offer.iteration = 5
        second.send(.artifactOffer(offer))
        // The coordinator wants to see the bytes.
        let credit = try await second.credit(of: offer.transferID)
        #expect(credit.nextOffset == 0)
        // Who has them gets the receipt; the owner gets it without sending them again.
        guard case .artifactReceipt = try await second.upload(checkpoint, .checkpoint, iteration: 5, of: attempts[1])
        else {
            Issue.record("the bytes bring a receipt")
            return
        }
        offer.attempt = attempts[0]
        offer.transferID = first.id()
        first.send(.artifactOffer(offer))
        try await first.next("RECEIPT") { message -> Void? in
            guard case .artifactReceipt(let receipt)? = message.body, receipt.transferID == offer.transferID else {
                return nil
            }
            return ()
        }
        for worker in [first, second] { await worker.socket.close() }
        await coordinator.stop()
    }

    // MARK: The coordinator's own key

    private func rotation(in folder: TemporaryFolder) throws -> ServerKeyRotation {
        try ServerKeyRotation(
            file: folder.url.appendingPathComponent("server-key"),
            nextFile: folder.url.appendingPathComponent("server-key.next"))
    }

    @Test func theCoordinatorsKeyChangesWhileAWorkerTrains() async throws {
        let folder = TemporaryFolder()
        let secured = try await Secured(folder: folder)
        let (worker, keys) = try await secured.joined(61)
        worker.hello()
        _ = try await worker.welcome()
        _ = try await secured.submit("wood")
        let attempt = try await worker.askForWork().attempt
        var running = WireAttemptStatus()
        (running.attempt, running.iteration, running.totalIterations) = (attempt, 5, 10)
        var heartbeat = WireHeartbeat()
        heartbeat.running = [running]
        let beat = WireMessage(.heartbeat(heartbeat), session: 61, version: 1)

        func status(_ method: String, _ path: String, _ expected: Int = 200) async throws -> ServerKeyStatus? {
            let answer = try await secured.coordinator.send(
                method, "/api/v1/server-key\(path)", headers: secured.authorization)
            #expect(answer.status == expected, "\(path)")
            return expected == 200 ? try answer.decoded(ServerKeyStatus.self) : nil
        }
        let old = try #require(try await status("GET", ""))
        #expect(old.nextKey == nil && old.saved.isEmpty && old.waiting.isEmpty)
        _ = try await status("POST", "/finish", 409)
        let begun = try #require(try await status("POST", "/rotate"))
        let next = try #require(begun.nextKey)
        #expect(begun.waiting.map(\.key) == [Z85.hexadecimalKey(keys.publicKey)])
        #expect(try await status("POST", "/rotate")?.nextKey == next, "one change at a time")
        _ = try await status("POST", "/finish", 409)

        worker.socket.send(beat)
        let announced = try await worker.next("NEXT_KEY") { message in
            if case .nextKey(let next)? = message.body { next.serverKey } else { nil }
        }
        #expect(hexadecimal([UInt8](announced)) == next)
        var saved = WireKeySaved()
        saved.serverKey = Data(repeating: 1, count: 32)
        worker.send(.keySaved(saved))
        worker.socket.send(beat)
        try await worker.next("the announcement again") { if case .nextKey? = $0.body { () } else { nil } }
        saved.serverKey = announced
        worker.send(.keySaved(saved))
        worker.socket.learn(nextServerKey: Z85.text(of: [UInt8](announced)))
        while try await status("GET", "")?.saved.isEmpty == true {}
        let finished = try #require(try await status("POST", "/finish"))
        #expect(finished.key == next && finished.nextKey == nil)

        // A worker that knows only the new key gets in, one that knows only the old key does not.
        let fresh = try secured.worker(62, keys, server: Z85.text(of: [UInt8](announced)))
        fresh.hello(id: "another")
        _ = try await fresh.welcome()
        let stale = try secured.worker(63, keys, server: hostileServer(worker))
        #expect(await firstFailure(stale) == .wrongServerKey)
        // The first worker has moved over by itself, and the attempt is still its own. Messages of the change may be lost.
        let beats = Task { [socket = worker.socket] in
            while !Task.isCancelled {
                socket.send(beat)
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
        let lost = try await worker.next("a heartbeat's answer") { message in
            if case .heartbeatReply(let reply)? = message.body { reply.lost } else { nil }
        }
        beats.cancel()
        #expect(lost.isEmpty)
        for other in [fresh, stale] { await other.socket.close() }
        await worker.socket.close()
        await secured.coordinator.stop()
        #expect(try Z85.hexadecimalKey(rotation(in: folder).current.publicKey) == next, "the file has the new key")
    }

    @Test func aNewKeyThatCannotBeWrittenIsNoFaultOfTheCoordinator() async throws {
        let folder = TemporaryFolder()
        let secured = try await Secured(folder: folder)
        let obstacle = folder.url.appendingPathComponent("server-key.next.partial")
        try FileManager.default.createDirectory(at: obstacle, withIntermediateDirectories: true)
        let rotate = "/api/v1/server-key/rotate"
        let refused = try await secured.coordinator.send("POST", rotate, headers: secured.authorization)
        #expect(refused.status == 503 && refused.headers["retry-after"] == "5", "\(refused.text)")
        try FileManager.default.removeItem(at: obstacle)
        #expect(try await secured.coordinator.send("POST", rotate, headers: secured.authorization).status == 200)
        await secured.coordinator.stop()
    }

    @Test func aFileOfTheNextKeyThatOthersMayReadIsNamed() async throws {
        let folder = TemporaryFolder()
        let secured = try await Secured(folder: folder)
        let file = folder.url.appendingPathComponent("server-key.next")
        try Data("\(CurveKeyPair.generate().secretKey)\n".utf8).write(to: file)
        #expect(chmod(file.path, 0o644) == 0)
        let rotate = "/api/v1/server-key/rotate"
        let refused = try await secured.coordinator.send("POST", rotate, headers: secured.authorization)
        #expect(refused.status == 409 && refused.headers["retry-after"] == nil, "\(refused.text)")
        #expect(refused.text.contains("chmod 600"), "\(refused.text)")
        #expect(chmod(file.path, 0o600) == 0)
        #expect(try await secured.coordinator.send("POST", rotate, headers: secured.authorization).status == 200)
        await secured.coordinator.stop()
    }

    @Test func theKeyDoesNotChangeWhileAWorkerJoinsAndEndsUnusedInvitations() async throws {
        let folder = TemporaryFolder()
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        let (looks, look) = AsyncStream.makeStream(of: Void.self)
        let keys = try WorkerKeys(
            WorkerKeyStore(pool: store.pool), rotation: rotation(in: folder),
            now: {
                look.yield()
                return Date(timeIntervalSince1970: 1_000_000)
            })
        func invite() async throws -> String {
            let invitation = try Invitation(try await keys.invite(to: ["tcp://127.0.0.1:1"]).text)
            return Z85.hexadecimalKey(invitation.keys.publicKey)
        }
        let (used, unused) = (try await invite(), try await invite())
        try keys.beginRotation()
        // The database is busy, so the worker that joins has to wait.
        let (busy, isBusy) = AsyncStream.makeStream(of: Void.self)
        let gate = DispatchSemaphore(value: 0)
        let writer = Task {
            try await store.pool.writeWithoutTransaction { _ in
                isBusy.yield()
                gate.wait()
            }
        }
        for await _ in busy { break }
        let key = String(repeating: "a", count: 64)
        async let refusal = keys.join(key, name: "w", invitation: used)
        // Two invitations have asked for the time, then the worker that joins.
        var times = looks.makeAsyncIterator()
        for _ in 0..<3 { await times.next() }
        let problem = #expect(throws: Problem.self) { try keys.finishRotation(leavesWorkersBehind: false) }
        #expect(problem?.status == .conflict && problem?.detail.contains("is joining") == true)
        gate.signal()
        try await writer.value
        #expect(try await refusal == nil)
        #expect(keys.rotation.waiting.map(\.key) == [key])
        try keys.finishRotation(leavesWorkersBehind: true)
        let late = String(repeating: "b", count: 64)
        #expect(try await keys.join(late, name: "late", invitation: unused)?.contains("no such invitation") == true)
        try store.close()
    }

    @Test func theDataFolderIsForItsOwnerOnly() async throws {
        let folder = TemporaryFolder()
        // As an earlier version left it.
        let database = folder.url.appendingPathComponent("jobs.sqlite")
        try JobStore(file: database, newCoordinatorID: "c").close()
        #expect(chmod(database.path, 0o644) == 0 && chmod(folder.url.path, 0o755) == 0)
        let secured = try await Secured(folder: folder)
        _ = try await secured.submit("wood")
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder.url.path) + ["."] {
            var status = stat()
            guard stat(folder.url.path + "/" + name, &status) == 0 else { continue }
            #expect(status.st_mode & 0o077 == 0, "\(name) has mode \(String(status.st_mode & 0o777, radix: 8))")
        }
        await secured.coordinator.stop()
    }
}

extension WorkerKeyTests.Secured {
    /// Submits a job. Returns its id.
    fileprivate func submit(_ name: String) async throws -> String {
        let receipt = try await coordinator.send(
            "POST", "/api/v1/exemplars", body: TestImages.png, headers: authorization
        ).decoded(ExemplarReceipt.self)
        let job = JobSubmission(
            name: name, fileName: "\(name).png", exemplarSHA256: receipt.sha256, recipeYAML: "recipe: draft")
        let body = try APIFormat.encoder.encode(SubmitJobsRequest(jobs: [job]))
        return try await coordinator.send("POST", "/api/v1/jobs", body: body, headers: authorization)
            .decoded(SubmitJobsResponse.self).jobs[0].id
    }
}

/// A wall clock that stands still until the test moves it.
final class TestClock: @unchecked Sendable {
    var now = Date(timeIntervalSince1970: 1_000_000)
}
