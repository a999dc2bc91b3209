import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(10)))
struct ClosingTests {
    @Test func theThreadEndsWhenNothingIsLeftToSendOrAfterASecond() async {
        var closing = Closing()
        let start = ContinuousClock.now
        #expect(!closing.hasBegun && !closing.endsThread(isBlocked: false, at: start))
        await withCheckedContinuation { closer in
            closing.begin(closer, at: start)
            closing.finish()
        }
        #expect(closing.hasBegun)
        #expect(closing.endsThread(isBlocked: false, at: start))
        #expect(!closing.endsThread(isBlocked: true, at: start + .seconds(1)))
        #expect(closing.endsThread(isBlocked: true, at: start + .milliseconds(1_001)))
    }

    /// Otherwise this test does not end.
    @Test func whoClosesAgainDoesNotWaitAndDoesNotExtendTheTime() async {
        var closing = Closing()
        let start = ContinuousClock.now
        await withCheckedContinuation { closer in
            closing.begin(closer, at: start)
            closing.finish()
        }
        await withCheckedContinuation { closing.begin($0, at: start + .seconds(5)) }
        #expect(closing.endsThread(isBlocked: true, at: start + .seconds(2)))
    }
}
