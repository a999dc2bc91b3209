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
