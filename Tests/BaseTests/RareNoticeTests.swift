import Testing

@testable import Base

@Suite struct RareNoticeTests {
    @Test func theLogMentionsThePowersOfTwoAndEveryOccurrenceCounts() {
        var notice = RareNotice()
        let mentioned = (1...100).compactMap { _ in notice.occurred() }
        #expect(mentioned == [1, 2, 4, 8, 16, 32, 64])
        #expect(notice.count == 100)
    }
}
