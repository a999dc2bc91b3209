import CZeroMQ
import Foundation
import Logging
import Protocol
import Synchronization
import Testing

@testable import ClusterCore
@testable import Transport

@Suite(.timeLimit(.minutes(10)))
struct CurveTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private let server: CurveKeyPair
    private let client: CurveKeyPair

    init() throws {
        server = try CurveKeyPair.generate()
        client = try CurveKeyPair.generate()
    }

    private func router(_ admit: @escaping @Sendable (String) -> Curve.Admission) throws -> RouterSocket {
        var configuration = RouterSocket.Configuration(endpoint: "tcp://127.0.0.1:*")
        configuration.curve = Curve.Server(keys: server, admit: admit)
        return try RouterSocket(configuration, logger: logger)
    }

    private func dealer(_ endpoint: String, serverKey: String? = nil, isPlain: Bool = false) throws -> DealerSocket {
        var configuration = DealerSocket.Configuration(endpoint: endpoint)
        if !isPlain { configuration.curve = Curve.Client(keys: client, serverKey: serverKey ?? server.publicKey) }
        return try DealerSocket(configuration, logger: logger)
    }

    private func firstFailure(of dealer: DealerSocket) async -> LinkFailure? {
        var failures = dealer.failures.makeAsyncIterator()
        let failure = await failures.next()
        await dealer.close()
        return failure
    }

    @Test func everyMessageCarriesTheKeyThatItsSenderProved() async throws {
        let router = try router { _ in .admitted }
        let dealer = try dealer(router.endpoint)
        var atRouter = router.incoming.makeAsyncIterator()
        for _ in 0..<3 {
            dealer.send(WireMessage(.helloAgain(WireHelloAgain()), session: 5))
            guard case .message(_, let peer)? = await atRouter.next() else {
                Issue.record("no message")
                return
            }
            #expect(peer.key == Z85.hexadecimalKey(client.publicKey))
            // The answer finds its way, a whole chunk as well.
            let payload = [UInt8](repeating: 3, count: Limits.chunkBytes)
            var chunk = WireArtifactChunk()
            chunk.crc32 = CRC32.checksum(payload)
            let answer = WireMessage(.artifactChunk(chunk), session: 5, payload: payload)
            router.send(answer, to: peer)
            var atDealer = dealer.incoming.makeAsyncIterator()
            #expect(await atDealer.next() == answer)
        }
        await dealer.close()
        await router.close()
    }

    @Test(arguments: [(Curve.Admission.unknown, LinkFailure.unknownKey), (.ended, .endedKey)])
    func aKeyThatIsNotAdmittedSendsNothingAndLearnsWhy(_ admission: Curve.Admission, _ expected: LinkFailure)
        async throws
    {
        let asked = Mutex<[String]>([])
        let router = try router { key in
            asked.withLock { $0.append(key) }
            return admission
        }
        let dealer = try dealer(router.endpoint)
        dealer.send(WireMessage(.helloAgain(WireHelloAgain()), session: 5))
        #expect(await firstFailure(of: dealer) == expected)
        #expect(asked.withLock { $0.first } == Z85.hexadecimalKey(client.publicKey))
        #expect(router.counters == SocketCounters())
        await router.close()
    }

    /// The name may also have an IPv6 address, on which no server listens.
    @Test(arguments: ["127.0.0.1", "localhost"])
    func anotherServerKeyIsNoticed(host: String) async throws {
        let router = try router { _ in .admitted }
        let endpoint = router.endpoint.replacing("127.0.0.1", with: host)
        let dealer = try dealer(endpoint, serverKey: CurveKeyPair.generate().publicKey)
        dealer.send(WireMessage(.helloAgain(WireHelloAgain()), session: 5))
        #expect(await firstFailure(of: dealer) == .wrongServerKey)
        #expect(router.counters == SocketCounters())
        await router.close()
    }

    @Test(arguments: ["tcp://127.0.0.1:*"] + ipv6Addresses("tcp://[::1]:*"))
    func aGreetingIsReadFromTheAddressAsItIsWritten(_ address: String) async throws {
        let router = try RouterSocket(.init(endpoint: address), logger: logger)
        #expect(GreetingProbe.mechanism(of: router.endpoint) == "NULL")
        await router.close()
    }

    @Test func aNameWithoutAnAddressSoFarIsLookedUpForItsGreetingIPv4First() async throws {
        let router = try router { _ in .admitted }
        let endpoint = router.endpoint.replacing("127.0.0.1", with: "localhost")
        #expect(GreetingProbe.mechanism(of: endpoint) == "CURVE")
        await router.close()
    }

    @Test(arguments: [
        // Closed, or silent for too long, before the first byte.
        ("", false, nil), ("", true, nil),
        // A busy coordinator, and a server that ends the connection.
        ("FF 00 00 00 00 00 00 00 01 7F", true, nil), ("FF 00 00 00 00 00 00 00 01 7F", false, ""),
        // "SSH-2", "HTTP"
        ("53 53 48 2D 32", true, ""), ("53 53 48 2D 32", false, ""), ("48 54 54 50", true, ""),
    ])
    func aBeginningOfAGreetingIsNotTakenForAnotherProtocol(_ bytes: String, _ isTimeout: Bool, _ expected: String?) {
        let greeting = bytes.split(separator: " ").compactMap { UInt8($0, radix: 16) }
        #expect(GreetingProbe.mechanism(in: greeting[...], isTimeout: isTimeout) == expected)
    }

    @Test func aPlainClientOfAnEncryptedServerIsToldSo() async throws {
        let router = try router { _ in .admitted }
        let dealer = try dealer(router.endpoint, isPlain: true)
        #expect(await firstFailure(of: dealer) == .serverIsEncrypted)
        #expect(router.counters == SocketCounters())
        await router.close()
    }

    @Test func anEncryptedClientOfAPlainServerIsToldSo() async throws {
        let router = try RouterSocket(.init(endpoint: "tcp://127.0.0.1:*"), logger: logger)
        let dealer = try dealer(router.endpoint)
        #expect(await firstFailure(of: dealer) == .serverIsPlain)
        await router.close()
    }

    @Test func anEncryptedServerMayListenBeyondThisMachine() async throws {
        var configuration = RouterSocket.Configuration(endpoint: "tcp://0.0.0.0:*")
        configuration.curve = Curve.Server(keys: server, admit: { _ in .unknown })
        let router = try RouterSocket(configuration, logger: logger)
        #expect(router.endpoint.hasPrefix("tcp://0.0.0.0:"))
        let port = router.endpoint.split(separator: ":").last!
        #expect(
            Endpoint.reachable(router.endpoint)
                == Endpoint.hostAddresses().filter { !$0.hasPrefix("[") }.map { "tcp://\($0):\(port)" })
        await router.close()
    }

    @Test func aRequestToTheGateThatIsNotCurveIsRefused() {
        let version = Array("1.0".utf8)
        let key = [UInt8](repeating: 7, count: 32)
        func status(_ frames: [[UInt8]]) -> String {
            let answer = ClientGate.answer(to: frames) { _ in .admitted }
            #expect(answer.count == 6)
            return String(decoding: answer[2], as: UTF8.self)
        }
        #expect(status([version, [1], [], [], [], Array("CURVE".utf8), key]) == "200")
        #expect(status([version, [1], [], [], [], Array("PLAIN".utf8), key]) == "400")
        #expect(status([version, [1], [], [], [], Array("CURVE".utf8), [1]]) == "400")
        #expect(status([version]) == "400" && status([]) == "400")
    }

    // MARK: Attacks on a plain address

    /// libzmq numbers connections from a number that rand() gives, which is 0x6b8b4567 in every unseeded process. A client
    /// that claims the next number makes libzmq abort the process at the next ordinary connection.
    @Test func theNextRoutingIDCannotBeGuessed() async {
        // In a process of its own: other routers of this one have taken that number.
        await #expect(processExitsWith: .success) {
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let router = try RouterSocket(.init(endpoint: "tcp://127.0.0.1:*"), logger: logger)
            let dealer = try DealerSocket(.init(endpoint: router.endpoint), logger: logger)
            dealer.send(WireMessage(.helloAgain(WireHelloAgain()), session: 5))
            var atRouter = router.incoming.makeAsyncIterator()
            guard case .message(_, let peer)? = await atRouter.next() else { fatalError("no message") }
            #expect(peer.routingID.count == 5 && peer.routingID[0] == 0)
            try #require(Array(peer.routingID.dropFirst()) != [0x6B, 0x8B, 0x45, 0x67])
            await dealer.close()
            await router.close()
        }
    }

    /// libzmq aborts the process if a connection is full when it is reset, and its rest contains a PING.
    @Test func aFullConnectionThatIsResetEndsNoProcess() async {
        await #expect(processExitsWith: .success) {
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let router = try RouterSocket(.init(endpoint: "tcp://127.0.0.1:*"), logger: logger)
            let messages = [[UInt8]](repeating: [0, 20] + [UInt8](repeating: 120, count: 20), count: 40).flatMap(\.self)
            let ping = [4, 7, 4] + Array("PING".utf8) + [0, 0]
            for _ in 0..<50 {
                let client = try UnfinishedSender(router.endpoint)
                try await client.shakeHands()
                _ = try await client.write(messages + ping + [0, 1, 120])
                client.reset()
            }
            let dealer = try DealerSocket(.init(endpoint: router.endpoint), logger: logger)
            dealer.send(WireMessage(.helloAgain(WireHelloAgain()), session: 5))
            // Answers to the clients' messages could not be delivered.
            let message = await router.incoming.first { if case .message = $0 { true } else { false } }
            guard case .message(let message, _)? = message else { fatalError("no message") }
            #expect(message.session == 5)
            await dealer.close()
            await router.close()
        }
    }

    /// libzmq reads only the first message of a connection whose routing id another one has, and keeps the rest for ever.
    @Test func aRoutingIDThatIsClaimedAgainAndAgainFillsNoMemory() async {
        await #expect(processExitsWith: .success) {
            func residentBytes() throws -> Int {
                let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")[1]
                return Int(pages)! * sysconf(Int32(_SC_PAGESIZE))
            }
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let router = try RouterSocket(.init(endpoint: "tcp://127.0.0.1:*"), logger: logger)
            let first = try UnfinishedSender(router.endpoint)
            try await first.shakeHands(routingID: "worker")
            _ = try await first.write([0, 1, 120])
            while router.counters.malformed.count < 1 { try await Task.sleep(for: .milliseconds(1)) }
            let before = try residentBytes()
            let message = [2, 0, 0, 0, 0, 0, 0x10, 0, 0] + [UInt8](repeating: 7, count: 1 << 20)
            for _ in 0..<20 {
                let client = try UnfinishedSender(router.endpoint)
                try await client.shakeHands(routingID: "worker")
                for _ in 0..<16 { _ = try await client.write(message) }
                client.hangUp()
            }
            let dealer = try DealerSocket(.init(endpoint: router.endpoint), logger: logger)
            dealer.send(WireMessage(.helloAgain(WireHelloAgain()), session: 5))
            var atRouter = router.incoming.makeAsyncIterator()
            guard case .message? = await atRouter.next() else { fatalError("no message") }
            #expect(try residentBytes() - before < 160 << 20)
            await dealer.close()
            await router.close()
        }
    }

    @Test func aFrameBeyondTheLargestMessageEndsTheConnection() async throws {
        let router = try RouterSocket(.init(endpoint: "tcp://127.0.0.1:*"), logger: logger)
        let stranger = try ZeroMQSocket(type: ZMQ_DEALER)
        try stranger.connect(router.endpoint)
        _ = stranger.send([[UInt8](repeating: 0, count: 4 << 20)])
        let dealer = try dealer(router.endpoint, isPlain: true)
        dealer.send(WireMessage(.helloAgain(WireHelloAgain()), session: 5))
        var atRouter = router.incoming.makeAsyncIterator()
        guard case .message(let message, _)? = await atRouter.next() else {
            Issue.record("no message")
            return
        }
        #expect(message.session == 5 && router.counters.malformed.count == 0)
        stranger.close(linger: .zero)
        await dealer.close()
        await router.close()
    }

    /// Sends a message without an end, more of it than the router allows. Returns when the router has ended the connection.
    private func expectEndOfUnfinished(_ router: RouterSocket) async throws {
        try await UnfinishedSender(router.endpoint).sendUntilEnded(atMost: 64 << 20)
        // The router counts the connection after it has ended it.
        while router.counters.endedUnfinished == 0 { try await Task.sleep(for: .milliseconds(1)) }
    }

    /// libzmq reports each connection, and stops if the coordinator does not read the reports.
    @Test func anIdleCoordinatorOutlivesThousandsOfConnections() async throws {
        var configuration = RouterSocket.Configuration(endpoint: "tcp://127.0.0.1:*")
        configuration.unfinishedBytes = 8 << 20
        let router = try RouterSocket(configuration, logger: logger)
        for _ in 0..<60 {
            // Fewer than the listener's queue holds, where others would wait for seconds and keep this thread.
            let senders = try (0..<50).map { _ in try UnfinishedSender(router.endpoint) }
            // Connections are accepted in their order.
            try await senders[49].greeted()
            for sender in senders { sender.hangUp() }
        }
        // Also the first client of an idle coordinator cannot fill its memory.
        try await expectEndOfUnfinished(router)
        let dealer = try dealer(router.endpoint, isPlain: true)
        dealer.send(WireMessage(.helloAgain(WireHelloAgain()), session: 5))
        var atRouter = router.incoming.makeAsyncIterator()
        guard case .message? = await atRouter.next() else {
            Issue.record("no message")
            return
        }
        await dealer.close()
        await router.close()
    }

    @Test func aMessageThatNeverEndsEndsItsConnectionAndNoOther() async throws {
        var configuration = RouterSocket.Configuration(endpoint: "tcp://127.0.0.1:*")
        configuration.unfinishedBytes = 8 << 20
        let router = try RouterSocket(configuration, logger: logger)
        let dealer = try dealer(router.endpoint, isPlain: true)
        var atRouter = router.incoming.makeAsyncIterator()
        func nextPeer() async -> Peer? {
            dealer.send(WireMessage(.helloAgain(WireHelloAgain()), session: 5))
            guard case .message(_, let peer)? = await atRouter.next() else { return nil }
            return peer
        }
        let before = await nextPeer()
        try await expectEndOfUnfinished(router)
        #expect(router.counters.endedUnfinished == 1)
        #expect(await nextPeer() == before, "another connection is as it was")
        await dealer.close()
        await router.close()
    }

    // MARK: Files and strings

    @Test func aKeyFileIsForItsOwnerAndStaysTheSame() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "curve-\(UInt64.random(in: 0...UInt64.max))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("key")
        let pair = try CurveKeyPair.load(orCreate: file)
        #expect(try CurveKeyPair.load(orCreate: file) == pair)
        let mode = try FileManager.default.attributesOfItem(atPath: file.path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        #expect(chmod(file.path, 0o640) == 0)
        let open = #expect(throws: TransportError.self) { try CurveKeyPair.load(orCreate: file) }
        #expect(open?.message.contains("chmod 600") == true, "\(open?.message ?? "")")
        #expect(chmod(file.path, 0o600) == 0)
        try Data("nonsense".utf8).write(to: file)
        #expect(throws: TransportError.self) { try CurveKeyPair.load(orCreate: file) }
    }

    @Test func anInvitationIsReadBackAndADamagedOneIsRefused() throws {
        let invitation = Invitation(
            endpoints: ["tcp://10.0.0.1:7741", "tcp://[fd00::1]:7741"], serverKey: server.publicKey, keys: client)
        #expect(try Invitation(invitation.text) == invitation)
        #expect(
            invitation.text.utf8.allSatisfy {
                ($0 >= 48 && $0 < 58) || ($0 | 32 >= 97 && $0 | 32 <= 122) || $0 == 45 || $0 == 95
            })
        var swapped = Array(invitation.text)
        swapped.swapAt(30, 31)
        for text in [
            "", "txl-join-1-", String(invitation.text.dropLast()), String(invitation.text.dropFirst()), String(swapped),
        ]
        where text != invitation.text {
            let error = #expect(throws: TransportError.self) { try Invitation(text) }
            #expect(error?.code == .badInvitation, "\(text)")
        }
    }
}
