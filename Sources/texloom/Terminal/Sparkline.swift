import Foundation

/// Values as a row of blocks; the lowest value has the lowest block.
enum Sparkline {
    private static let blocks = Array("▁▂▃▄▅▆▇█")
    private static let signs = Array("_.-=+*#")
    /// Beyond this span a linear scale would show only the first values, for example of a loss that falls from 1,000.
    static let widestLinearSpan = 20.0

    /// At most `width` characters: averages more values, does not stretch fewer. A value that is not finite is a gap.
    /// Positive values of a wide span have a logarithmic scale.
    static func text(_ values: [Double], width: Int, unicode: Bool) -> String {
        let marks = unicode ? blocks : signs
        var means = means(values, count: width)
        var known = means.filter(\.isFinite)
        guard let least = known.min(), let greatest = known.max() else {
            return String(repeating: " ", count: means.count)
        }
        if least > 0, greatest / least > widestLinearSpan {
            means = means.map(log)
            known = known.map(log)
        }
        let (low, high) = (known.min()!, known.max()!)
        return String(
            means.map { value in
                guard value.isFinite else { return " " }
                // A constant value is neither low nor high.
                guard high > low else { return marks[marks.count / 2] }
                // Halved first: the span of two finite values need not be finite.
                let share = (value / 2 - low / 2) / (high / 2 - low / 2)
                return marks[min(marks.count - 1, Int(share * Double(marks.count)))]
            })
    }

    /// Means of equally many neighbours, without values that are not finite; NaN where no finite value is left.
    static func means(_ values: [Double], count: Int) -> [Double] {
        guard count > 0 else { return [] }
        guard values.count > count else { return values }
        return (0..<count).map { index in
            let part = values[index * values.count / count..<(index + 1) * values.count / count].filter(\.isFinite)
            return part.isEmpty ? .nan : part.reduce(0) { $0 + $1 / Double(part.count) }
        }
    }
}

/// A bar that is filled to a share, rounded down: only what is complete fills it. A share that is NaN counts as 0.
func progressBar(_ share: Double, width: Int, unicode: Bool = true) -> String {
    // 1.0 / 49 * 49 is less than 1.
    let full = share.isNaN ? 0 : Int((min(max(share, 0), 1) * Double(width) + 1e-9).rounded(.down))
    return String(repeating: unicode ? "█" : "#", count: full)
        + String(repeating: unicode ? "░" : ".", count: width - full)
}
