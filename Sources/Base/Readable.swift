import Foundation

/// Durations, shares, speeds and sizes as people read them: two figures at most, because more of them only flicker.
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

    /// Whole per cent of a share from 0 to 1, rounded down: only what is complete has 100 %. 0 for NaN.
    public static func wholePercent(_ share: Double) -> Int {
        guard !share.isNaN else { return 0 }
        // 0.29 * 100 is less than 29.
        return Int((min(max(share, 0), 1) * 100 + 1e-9).rounded(.down))
    }

    /// The pace of a training: "23.3 it/s", or "2.31 s/it" below one iteration a second.
    public static func speed(_ perSecond: Double) -> String {
        perSecond > 0 && perSecond < 1
            ? String(format: "%.2f s/it", 1 / perSecond) : String(format: "%.1f it/s", perSecond)
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
