import Testing

@testable import ClusterCore

struct StringShorteningTests {
    @Test func aTextIsCutBetweenCharactersToALimitInBytes() {
        let texts = [
            "", "plain", "naïve", "e\u{301}e\u{301}", "a\r\nb\r\n", "🇩🇪🇫🇷🇮", "👩‍👩‍👧👍🏽",
            "\u{1112}\u{1161}\u{11AB}한", "\u{301}a",
        ]
        for text in texts {
            for limit in 0...text.utf8.count + 1 {
                var expected = ""
                for character in text {
                    guard expected.utf8.count + character.utf8.count <= limit else { break }
                    expected.append(character)
                }
                #expect(text.shortened(to: limit) == expected, "\(text) to \(limit)")
            }
        }
        // One character, which no limit may make slow.
        #expect(("a" + String(repeating: "\u{301}", count: 1 << 20)).shortened(to: 500) == "")
    }
}
