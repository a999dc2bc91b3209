/// A page of metrics in Prometheus' text format 0.0.4.
///
/// Each scrape writes it from plain values. A registry of live metrics, as in swift-metrics, would keep a second copy
/// of numbers that the cluster's state has anyway, and series of workers that are long gone.
///
/// - Source: prometheus.io/docs/instrumenting/exposition_formats.
struct Exposition {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private(set) var text = ""

    /// One time series of a metric.
    struct Sample {
        var labels: [(name: String, value: String)] = []
        var value: Double
    }

    // MARK: Metrics

    /// A value that only grows while the process runs. Its name ends in `_total`.
    mutating func counter(_ name: String, _ help: String, _ value: Double) {
        add(name, help, "counter", [Sample(value: value)])
    }

    mutating func counter(_ name: String, _ help: String, _ samples: [Sample]) { add(name, help, "counter", samples) }

    /// A value that goes up and down.
    mutating func gauge(_ name: String, _ help: String, _ value: Double) {
        add(name, help, "gauge", [Sample(value: value)])
    }

    mutating func gauge(_ name: String, _ help: String, _ samples: [Sample]) { add(name, help, "gauge", samples) }

    mutating func histogram(_ name: String, _ help: String, _ histogram: Histogram) {
        begin(name, help, "histogram")
        add(histogram, of: name, [])
    }

    mutating func histograms(_ name: String, _ help: String, by label: String, _ histograms: [(String, Histogram)]) {
        begin(name, help, "histogram")
        for (value, histogram) in histograms { add(histogram, of: name, [(label, value)]) }
    }

    // MARK: Lines

    private mutating func add(_ name: String, _ help: String, _ type: String, _ samples: [Sample]) {
        begin(name, help, type)
        for sample in samples { line(name, sample.labels, sample.value) }
    }

    private mutating func add(_ histogram: Histogram, of name: String, _ labels: [(name: String, value: String)]) {
        var cumulative = 0
        for (bound, count) in zip(histogram.bounds + [.infinity], histogram.counts) {
            cumulative += count
            line(name + "_bucket", labels + [("le", Self.format(bound))], Double(cumulative))
        }
        line(name + "_sum", labels, histogram.sum)
        line(name + "_count", labels, Double(cumulative))
    }

    private mutating func begin(_ name: String, _ help: String, _ type: String) {
        text += "# HELP \(name) \(Self.escape(help))\n# TYPE \(name) \(type)\n"
    }

    private mutating func line(_ name: String, _ labels: [(name: String, value: String)], _ value: Double) {
        let inside = labels.map { "\($0.name)=\"\(Self.escape($0.value, quotes: true))\"" }.joined(separator: ",")
        text += name + (inside.isEmpty ? "" : "{\(inside)}") + " \(Self.format(value))\n"
    }

    private static func escape(_ text: String, quotes: Bool = false) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    private static func format(_ value: Double) -> String {
        guard value.isFinite else { return value.isNaN ? "NaN" : value > 0 ? "+Inf" : "-Inf" }
        return Int(exactly: value).map(String.init) ?? "\(value)"
    }
}

extension [Exposition.Sample] {
    /// A series for every value of a label, so that even series at 0 exist from the start.
    static func by<Values: Sequence>(
        _ label: String, _ values: Values, _ count: (Values.Element) -> Int
    ) -> [Exposition.Sample] where Values.Element: RawRepresentable, Values.Element.RawValue == String {
        values.map { Exposition.Sample(labels: [(label, $0.rawValue)], value: Double(count($0))) }
    }
}
