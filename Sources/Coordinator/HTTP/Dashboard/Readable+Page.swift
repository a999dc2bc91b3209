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

    /// Iterations a second.
    static func speed(_ perSecond: Double) -> String {
        String(format: perSecond >= 10 ? "%.0f it/s" : "%.2f it/s", perSecond)
    }

    /// Four significant digits.
    static func figure(_ value: Float) -> String { String(format: "%.4g", Double(value)) }

    /// Replaces control characters, because HTML cannot express them. Log lines may contain them.
    static func plain(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { isControl($0) ? "\u{FFFD}" : $0 }))
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 && scalar != "\n" && scalar != "\t"
    }
}
