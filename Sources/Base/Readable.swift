import Foundation

/// Durations and sizes as people read them: two figures at most, because more of them only flicker.
public enum Readable {
    /// "45 s", "12 min", "3 h 20 min", "2 d 4 h"; "?" for NaN and for times longer than any training.
    public static func duration(_ seconds: Double) -> String {
        guard seconds < 1e12 else { return "?" }
        // A peer's clock may be ahead of this one.
        let whole = Int(max(0, seconds).rounded())
        switch whole {
        case ..<90: return "\(whole) s"
        case ..<5400: return "\((whole + 30) / 60) min"
        case ..<172_800: return "\(whole / 3600) h \(whole % 3600 / 60) min"
        default: return "\(whole / 86400) d \(whole % 86400 / 3600) h"
        }
    }

    /// "512 bytes", "3.4 MiB".
    public static func bytes(_ count: Int) -> String {
        guard count >= 1024 else { return counted(count, "byte") }
        var size = Double(count) / 1024
        for unit in ["KiB", "MiB", "GiB"] {
            if size < 1024 { return String(format: "%.1f %@", size, unit) }
            size /= 1024
        }
        return String(format: "%.1f TiB", size)
    }
}
