import Testing

@testable import Transport

struct ConnectionPlanTests {
    enum Step {
        /// So many handshakes in a row have ended, at that time.
        case endings(Int, milliseconds: Int, then: [ConnectionPlan.Action])
        case finding(HandshakeMonitor.Finding, then: [ConnectionPlan.Action])
        /// A probe says so, and the client connects again or does not.
        case suspect(LinkFailure, reconnects: Bool = true)
        case learn(String)
        /// A new connection is made; it uses that key.
        case connect(key: String?)
        /// The new connection cannot be made; the one before has that key.
        case cannotConnect(key: String)
    }

    struct Story: CustomTestStringConvertible {
        var testDescription: String
        var nextKey: String?
        var isPlain = false
        var steps: [Step]
    }

    static let stories = [
        Story(
            testDescription: "a server with another key is reported when two handshakes after its greeting have ended",
            steps: [
                .endings(1, milliseconds: 0, then: []), .endings(2, milliseconds: 500, then: []),
                .endings(3, milliseconds: 1_000, then: [.probe]), .suspect(.wrongServerKey), .connect(key: "current"),
                .endings(4, milliseconds: 1_500, then: [.probe]), .suspect(.wrongServerKey), .connect(key: "current"),
                .endings(5, milliseconds: 2_000, then: [.report(.wrongServerKey)]),
                .endings(6, milliseconds: 2_500, then: [.probe]),
            ]),
        Story(
            testDescription: "a plain client reports a server that encrypts in the same way", isPlain: true,
            steps: [
                .endings(3, milliseconds: 0, then: [.probe]), .suspect(.serverIsEncrypted), .connect(key: nil),
                .endings(4, milliseconds: 1, then: [.probe]), .suspect(.serverIsEncrypted), .connect(key: nil),
                .endings(5, milliseconds: 2, then: [.report(.serverIsEncrypted)]),
            ]),
        Story(
            testDescription: "a server that cannot be asked is not reported",
            steps: (1...12).map { .endings($0, milliseconds: 500 * $0, then: $0 % 3 == 0 ? [.probe] : []) }),
        Story(
            testDescription: "what a probe has found is over after a successful handshake",
            steps: [
                .endings(3, milliseconds: 0, then: [.probe]), .suspect(.wrongServerKey), .connect(key: "current"),
                .endings(4, milliseconds: 1, then: [.probe]), .suspect(.wrongServerKey),
                .finding(.success, then: []), .endings(1, milliseconds: 2, then: []),
                .endings(3, milliseconds: 3, then: [.probe]), .suspect(.wrongServerKey), .connect(key: "current"),
                .endings(4, milliseconds: 4, then: [.probe]),
            ]),
        Story(
            testDescription: "a probe that is slower than the next, successful handshake means nothing",
            steps: [
                .endings(3, milliseconds: 0, then: [.probe]), .finding(.success, then: []),
                .suspect(.wrongServerKey, reconnects: false), .endings(1, milliseconds: 1, then: []),
            ]),
        Story(
            testDescription: "a refusal is reported at once",
            steps: [.finding(.failure(.unknownKey), then: [.report(.unknownKey)])]),
        Story(
            testDescription: "two keys are tried in turn, not in a hurry", nextKey: "next",
            steps: [
                .endings(1, milliseconds: 400, then: []), .endings(2, milliseconds: 401, then: [.reconnect]),
                .connect(key: "next"), .endings(3, milliseconds: 801, then: [.probe]),
                .endings(4, milliseconds: 802, then: [.reconnect]), .connect(key: "current"),
                .endings(6, milliseconds: 1_203, then: [.reconnect, .probe]), .connect(key: "next"),
            ]),
        Story(
            testDescription: "the announced key is kept once the server uses it", nextKey: "next",
            steps: [
                .endings(1, milliseconds: 500, then: [.reconnect]), .connect(key: "next"),
                .finding(.success, then: [.keepNextKey]), .finding(.success, then: []),
                .endings(1, milliseconds: 1_000, then: []), .connect(key: "next"),
            ]),
        Story(
            testDescription: "both keys are kept while the server uses the old one", nextKey: "next",
            steps: [
                .finding(.success, then: []), .endings(1, milliseconds: 500, then: [.reconnect]),
                .connect(key: "next"),
            ]),
        Story(
            testDescription: "with two keys each has to fail twice after a greeting", nextKey: "next",
            steps: [
                .endings(3, milliseconds: 0, then: [.probe]), .suspect(.wrongServerKey), .connect(key: "current"),
                .endings(4, milliseconds: 1, then: [.probe]), .suspect(.wrongServerKey), .connect(key: "next"),
                .endings(5, milliseconds: 2, then: [.probe]), .suspect(.wrongServerKey), .connect(key: "current"),
                .endings(6, milliseconds: 3, then: [.probe]), .suspect(.wrongServerKey), .connect(key: "next"),
                .endings(7, milliseconds: 4, then: [.report(.wrongServerKey)]),
            ]),
        Story(
            testDescription: "a server that is back before the other key was tried uses the key of the connection",
            nextKey: "next",
            steps: [
                .endings(3, milliseconds: 0, then: [.probe]), .suspect(.wrongServerKey), .connect(key: "current"),
                // No server answers the probe, so the dealer opens no new connection.
                .endings(4, milliseconds: 1, then: [.probe]), .finding(.success, then: []), .connect(key: "current"),
                .endings(1, milliseconds: 1_000, then: [.reconnect]), .connect(key: "next"),
            ]),
        Story(
            testDescription: "an announced key is tried after the old one",
            steps: [
                .endings(1, milliseconds: 1_000, then: []), .learn("next"), .connect(key: "current"),
                .endings(2, milliseconds: 1_001, then: [.reconnect]), .connect(key: "next"),
            ]),
        Story(
            testDescription: "a key announced while another is tried waits for its turn", nextKey: "next",
            steps: [
                .endings(1, milliseconds: 500, then: [.reconnect]), .connect(key: "next"), .learn("third"),
                .endings(2, milliseconds: 1_000, then: [.reconnect]), .connect(key: "current"),
                .endings(4, milliseconds: 1_500, then: [.reconnect]), .connect(key: "third"),
                .finding(.success, then: [.keepNextKey]), .connect(key: "third"),
            ]),
        Story(
            testDescription: "the old socket that stays where no new one can be made has its old key", nextKey: "next",
            steps: [
                .endings(1, milliseconds: 500, then: [.reconnect]), .cannotConnect(key: "current"),
                .finding(.success, then: []), .connect(key: "current"),
            ]),
        Story(
            testDescription: "the other key is still tried after a connection that could not be made", nextKey: "next",
            steps: [
                .endings(1, milliseconds: 500, then: [.reconnect]), .cannotConnect(key: "current"),
                .connect(key: "next"), .learn("third"), .endings(2, milliseconds: 1_000, then: [.reconnect]),
                .cannotConnect(key: "next"), .finding(.success, then: [.keepNextKey]), .connect(key: "next"),
            ]),
        Story(
            testDescription: "a plain client has no use for a key", isPlain: true,
            steps: [.learn("next"), .endings(1, milliseconds: 1_000, then: []), .connect(key: nil)]),
    ]

    @Test(arguments: stories)
    func endedHandshakesLeadToTheRightKeyOrAReport(_ story: Story) throws {
        var curve = Curve.Client(keys: try CurveKeyPair.generate(), serverKey: "current")
        curve.nextServerKey = story.nextKey
        let start = ContinuousClock.now
        var plan = ConnectionPlan(curve: story.isPlain ? nil : curve, at: start)
        for (index, step) in story.steps.enumerated() {
            switch step {
            case .endings(let count, let milliseconds, let expected):
                #expect(plan.handle(.endings(count), at: start + .milliseconds(milliseconds)) == expected, "\(index)")
            case .finding(let finding, let expected): #expect(plan.handle(finding, at: start) == expected, "\(index)")
            case .suspect(let failure, let reconnects): #expect(plan.suspect(failure) == reconnects, "\(index)")
            case .learn(let key): plan.learn(nextServerKey: key)
            case .connect(let key):
                plan.beginConnection()
                #expect(plan.curve?.serverKey == key, "\(index)")
            case .cannotConnect(let key):
                plan.beginConnection()
                plan.keepConnection()
                #expect(plan.curve?.serverKey == key, "\(index)")
            }
        }
    }

    @Test func anAddressIsGivenUpAfterASilenceUnlessItHasAnswered() {
        var plan = ConnectionPlan(curve: nil)
        func address(isSilent: Bool) -> Int {
            if isSilent { plan.giveUpAddress() }
            plan.beginConnection()
            return plan.addressIndex
        }
        plan.heard()
        #expect(address(isSilent: true) == 0)
        #expect(address(isSilent: true) == 1)
        // After a greeting, and to try another key.
        #expect(address(isSilent: false) == 1)
        #expect(address(isSilent: true) == 2)
    }
}
