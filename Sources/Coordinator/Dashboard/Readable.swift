import Foundation

/// Numbers and texts as people read them.
enum Readable {
    static func duration(_ seconds: Double) -> String {
        // NaN is less than nothing.
        let total = seconds > 0 ? Int(min(seconds, 1e9).rounded()) : 0
        if total < 60 { return "\(total) s" }
        if total < 3600 { return "\(total / 60) min \(total % 60) s" }
        if total < 86_400 { return "\(total / 3600) h \(total % 3600 / 60) min" }
        return "\(total / 86_400) d \(total % 86_400 / 3600) h"
    }

    static func bytes(_ count: Int) -> String {
        var value = Double(count)
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024 || unit == "GiB" {
                return unit == "B" ? "\(count) B" : String(format: "%.1f %@", value, unit)
            }
            value /= 1024
        }
        return "\(count) B"
    }

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

    /// Without control characters, which HTML has no way to write; log lines may hold them.
    static func plain(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.map { isControl($0) ? "\u{FFFD}" : $0 }))
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 && scalar != "\n" && scalar != "\t"
    }
}
