import Base
import Foundation

/// Formats times, figures and texts for pages.
extension Readable {
    /// To the minute, for lists.
    static func minute(_ date: Date) -> String { String(time(date).dropLast(3)) }

    static func time(_ date: Date) -> String {
        date.formatted(.iso8601.dateSeparator(.dash).dateTimeSeparator(.space).timeSeparator(.colon))
            .replacing("Z", with: "")
    }

    /// A number whose unit stays on its line.
    static func unbroken(_ text: String) -> String { text.replacing(" ", with: "\u{A0}") }

    /// Four significant digits.
    static func figure(_ value: Float) -> String { String(format: "%.4g", Double(value)) }

    /// Replaces control characters, because HTML cannot express them, and characters that change the writing direction,
    /// because they can make a name read differently. Log lines may contain them.
    static func plain(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { isControl($0) ? "\u{FFFD}" : $0 }))
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x9, 0xA: false
        case ..<0x20, 0x7F...0x9F, 0x61C, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
