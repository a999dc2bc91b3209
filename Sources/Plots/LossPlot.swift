import Foundation

/// The losses over the iterations as an SVG: one panel for each term, because their sizes differ by orders of magnitude.
///
/// Each panel has its own scale and draws the smoothed curve over the pale raw one. Light and dark backgrounds both
/// work.
public enum LossPlot {
    /// The drawn terms, in this order; a run may lack some.
    private static let terms: [(column: String, title: String, color: String)] = [
        ("discriminator_fake", "discriminator, generated", "#d97706"),
        ("discriminator_real", "discriminator, real", "#b45309"),
        ("adversarial", "adversarial", "#7c3aed"),
        ("l1", "L1", "#2563eb"),
        ("style", "style", "#059669"),
    ]
    /// The columns that a plot reads.
    public static let columns = Set(terms.map(\.column))
    private static let panelWidth = 720.0
    private static let panelHeight = 120.0
    private static let left = 84.0
    private static let top = 64.0
    private static let gap = 44.0
    /// With more points, neighbours would share a pixel.
    private static let maxPoints = 1500

    /// - Parameter rows: ascending iterations, each with its losses by name; other names are not drawn.
    public static func svg(_ rows: [(iteration: Int, values: [String: Float])], title: String) -> String {
        let panels = terms.filter { term in rows.contains { ($0.values[term.column] ?? 0) != 0 } }
        let height = top + Double(max(panels.count, 1)) * (panelHeight + gap) + 8
        var svg = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(left + panelWidth + 24)) \(Int(height))" \
            font-family="system-ui, sans-serif" font-size="12">
            <rect width="100%" height="100%" fill="#ffffff"/>
            <text x="16" y="24" font-size="15" font-weight="600" fill="#111827">\(escaped(title))</text>

            """
        let lastIteration = max(rows.map(\.iteration).max() ?? 1, 1)
        if panels.isEmpty {
            svg += "<text x=\"16\" y=\"60\" fill=\"#6b7280\">no losses yet</text>\n"
        }
        for (index, term) in panels.enumerated() {
            let points = rows.compactMap { row in
                row.values[term.column].map { (iteration: row.iteration, value: Double($0)) }
            }
            svg += panel(term.title, term.color, points, lastIteration, y: top + Double(index) * (panelHeight + gap))
        }
        return svg + "</svg>\n"
    }

    private static func panel(
        _ title: String, _ color: String, _ points: [(iteration: Int, value: Double)], _ lastIteration: Int, y: Double
    ) -> String {
        // The scale ignores the most extreme half per cent, so that one spike does not flatten the curve.
        let sorted = points.map(\.value).sorted()
        let low = min(sorted.first!, sorted[sorted.count / 200])
        let high = sorted[min(sorted.count - 1, sorted.count * 199 / 200)]
        // The labels of a constant would be equal: it has one line, in the middle.
        let isConstant = high - low <= abs(low) * 1e-3
        let ticks = isConstant ? [(low + high) / 2] : niceTicks(low, high)
        let reach = isConstant ? abs(low) + 1e-12 : 0
        let (bottomValue, topValue) = (min(low, ticks.first ?? low) - reach, max(high, ticks.last ?? high) + reach)
        func place(_ iteration: Int, _ value: Double) -> String {
            let x = left + Double(iteration) / Double(lastIteration) * panelWidth
            let share = min(max((value - bottomValue) / (topValue - bottomValue), -0.02), 1.02)
            return String(format: "%.1f,%.1f", x, y + panelHeight * (1 - share))
        }
        var svg = "<text x=\"\(left)\" y=\"\(y - 8)\" fill=\"\(color)\" font-weight=\"600\">\(title)"
        svg += "<tspan fill=\"#6b7280\" font-weight=\"400\">  last \(short(points.last!.value))</tspan></text>\n"
        for tick in ticks {
            let line = y + panelHeight * (1 - (tick - bottomValue) / (topValue - bottomValue))
            let at = String(format: "%.1f", line)
            svg += "<line x1=\"\(left)\" x2=\"\(left + panelWidth)\" y1=\"\(at)\" y2=\"\(at)\" stroke=\"#e5e7eb\"/>"
            svg +=
                "<text x=\"\(left - 8)\" y=\"\(line + 4)\" text-anchor=\"end\" fill=\"#6b7280\">\(short(tick))</text>\n"
        }
        for tick in niceTicks(0, Double(lastIteration)) where tick <= Double(lastIteration) {
            let x = String(format: "%.1f", left + tick / Double(lastIteration) * panelWidth)
            svg +=
                "<text x=\"\(x)\" y=\"\(y + panelHeight + 16)\" text-anchor=\"middle\" fill=\"#6b7280\">\(Int(tick))</text>"
        }
        let step = max(1, points.count / maxPoints)
        let raw = stride(from: 0, to: points.count, by: step).map { place(points[$0].iteration, points[$0].value) }
        svg +=
            "\n<polyline fill=\"none\" stroke=\"\(color)\" stroke-opacity=\"0.28\" points=\"\(raw.joined(separator: " "))\"/>\n"
        let smooth = smoothed(points.map(\.value))
        let curve = stride(from: 0, to: points.count, by: step).map { place(points[$0].iteration, smooth[$0]) }
        svg +=
            "<polyline fill=\"none\" stroke=\"\(color)\" stroke-width=\"1.8\" points=\"\(curve.joined(separator: " "))\"/>\n"
        return svg
    }

    /// A centred moving average over a fortieth of the run.
    private static func smoothed(_ values: [Double]) -> [Double] {
        let reach = max(1, values.count / 80)
        var sums = [0.0]
        for value in values { sums.append(sums.last! + value) }
        return values.indices.map { index in
            let (from, to) = (max(0, index - reach), min(values.count, index + reach + 1))
            return (sums[to] - sums[from]) / Double(to - from)
        }
    }

    /// About four round numbers that cover a range.
    private static func niceTicks(_ low: Double, _ high: Double) -> [Double] {
        let span = high - low
        guard span > 0, span.isFinite else { return [low] }
        let magnitude = pow(10, (log10(span / 4)).rounded(.down))
        let step = [1.0, 2, 2.5, 5, 10].map { $0 * magnitude }.first { span / $0 <= 5 } ?? 10 * magnitude
        var ticks: [Double] = []
        var tick = (low / step).rounded(.down) * step
        while tick < high + step * 0.999, ticks.count < 12 {
            ticks.append(tick)
            tick += step
        }
        return ticks
    }

    private static func short(_ value: Double) -> String { String(format: "%.4g", value) }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    }
}
