import Base
import Foundation
import Testing

struct Base64URLTests {
    /// RFC 4648, section 10, and bytes whose digits differ from plain base64's.
    @Test(
        arguments: [
            ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("??>", "Pz8-"), ("???", "Pz8_"),
        ])
    func textAndBack(_ plain: String, _ text: String) {
        #expect(Data(plain.utf8).base64URL == text)
        #expect(Data(base64URL: text) == Data(plain.utf8))
    }

    @Test(arguments: ["Z", "Zm9v!", "Zg Zg", "é"]) func otherTextIsRefused(_ text: String) {
        #expect(Data(base64URL: text) == nil)
    }
}
