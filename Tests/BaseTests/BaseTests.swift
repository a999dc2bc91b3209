import Testing

@testable import Base

@Suite struct BaseTests {
    @Test(arguments: [
        (-1, "0 s"), (5.4, "5 s"), (89, "89 s"), (90, "2 min"), (600, "10 min"), (5399, "90 min"), (7260, "2 h 1 min"),
        (172_799, "47 h 59 min"), (187_200, "2 d 4 h"), (1e12, "?"), (.infinity, "?"), (.nan, "?"),
    ])
    func durationsReadWell(seconds: Double, expected: String) {
        #expect(Readable.duration(seconds) == expected)
    }

    @Test(arguments: [
        (0, "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"),
        (3 << 40, "3.0 TiB"),
    ])
    func sizesReadWell(count: Int, expected: String) {
        #expect(Readable.bytes(count) == expected)
    }

    @Test func wholePercentsAreExactAndRoundedDown() {
        for total in [3, 7, 100, 6000, 999_999] {
            for part in stride(from: 0, through: total, by: max(1, total / 1000)) {
                #expect(
                    Readable.wholePercent(Double(part) / Double(total)) == 100 * part / total, "\(part) of \(total)")
            }
        }
        #expect(Readable.wholePercent(0.999) == 99 && Readable.wholePercent(7) == 100)
        #expect(Readable.wholePercent(-1) == 0 && Readable.wholePercent(.nan) == 0)
    }

    @Test(arguments: [
        (0, "0.0 it/s"), (0.43, "2.33 s/it"), (0.02, "50.00 s/it"), (1, "1.0 it/s"), (23.26, "23.3 it/s"),
    ])
    func speedsReadWell(perSecond: Double, expected: String) {
        #expect(Readable.speed(perSecond) == expected)
    }

    @Test func numbersAgreeWithTheirNouns() {
        #expect(counted(0, "worker") == "0 workers" && counted(1, "worker") == "1 worker")
    }

    @Test func digestsHaveTwoLowerCaseDigitsAByte() {
        #expect(hexadecimal([0x00, 0x0F, 0xA0, 0xFF]) == "000fa0ff" && hexadecimal([]) == "")
    }

    @Test func suggestionsAreNear() {
        let words = ["train", "retry", "list", "logs"]
        #expect(suggestion(for: "tarin", among: words) == "train" && suggestion(for: "lsit", among: words) == "list")
        #expect(suggestion(for: "log", among: words) == "logs" && suggestion(for: "xyz", among: words) == nil)
    }
}
