import Foundation

extension Data {
    /// Base64 with letters that need no escape in an address or a shell, and without padding (RFC 4648, section 5).
    public var base64URL: String {
        base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    /// Nil if the text is not base64url.
    public init?(base64URL text: some StringProtocol) {
        let digits = String(text).replacing("-", with: "+").replacing("_", with: "/")
        self.init(base64Encoded: digits + String(repeating: "=", count: (4 - digits.utf8.count % 4) % 4))
    }
}
