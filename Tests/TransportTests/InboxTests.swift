import Testing

@testable import Transport

@Suite(.timeLimit(.minutes(10)))
struct InboxTests {
    @Test func aConsumerThatIsCancelledBeforeItWaitsDoesNotWait() async {
        let inbox = Inbox<Int>(capacityBytes: 10, onRoom: {})
        let consumer = Task {
            while !Task.isCancelled { await Task.yield() }
            return await inbox.next()
        }
        consumer.cancel()
        #expect(await consumer.value == nil)
        // A waiting message can still be taken.
        inbox.push(7, bytes: 1)
        #expect(await inbox.next() == 7)
    }
}
