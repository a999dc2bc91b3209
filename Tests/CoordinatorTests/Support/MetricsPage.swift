/// A strict reader of Prometheus' text format 0.0.4. It also checks the naming rules.
struct MetricsPage {
    struct Malformed: Error, CustomStringConvertible {
        var description: String
    }

    struct Series: Hashable {
        var name: String
        var labels: [String: String]
    }

    /// By name, without the suffixes of histograms.
    private(set) var types: [String: String] = [:]
    private(set) var values: [Series: Double] = [:]
    /// In the order of the page.
    private var family: [Series] = []

    /// - Throws: `Malformed`, which names the line.
    init(parsing text: String) throws {
        guard text.hasSuffix("\n") else { throw Malformed(description: "the last line does not end") }
        let lines = text.dropLast().split(separator: "\n", omittingEmptySubsequences: false)
        var index = 0
        while index < lines.count {
            let help = lines[index].split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
            guard help.count == 4, help[0] == "#", help[1] == "HELP", !help[3].isEmpty else {
                throw Malformed(description: "expected # HELP: \(lines[index])")
            }
            let name = String(help[2])
            try Self.check(name: name, colons: true)
            let type = index + 1 < lines.count ? lines[index + 1].split(separator: " ") : []
            guard type.count == 4, type[0] == "#", type[1] == "TYPE", type[2] == name,
                ["counter", "gauge", "histogram"].contains(type[3])
            else { throw Malformed(description: "expected # TYPE after: \(lines[index])") }
            guard types.updateValue(String(type[3]), forKey: name) == nil else {
                throw Malformed(description: "\(name) is described twice")
            }
            index += 2
            family = []
            while index < lines.count, !lines[index].hasPrefix("#") {
                try readSample(lines[index])
                index += 1
            }
            try checkFamily(name, String(type[3]))
        }
    }

    subscript(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        values[Series(name: name, labels: labels)]
    }

    /// All series of a name.
    func series(_ name: String) -> [Series] { values.keys.filter { $0.name == name } }

    // MARK: Lines

    private mutating func readSample(_ line: Substring) throws {
        var rest = line
        let name = String(rest.prefix { $0 != "{" && $0 != " " })
        try Self.check(name: name, colons: true)
        rest = rest.dropFirst(name.count)
        var labels: [String: String] = [:]
        if rest.first == "{" {
            repeat {
                rest = rest.dropFirst()
                let label = String(rest.prefix { $0 != "=" })
                try Self.check(name: label, colons: false)
                rest = rest.dropFirst(label.count)
                guard rest.hasPrefix("=\"") else { throw Malformed(description: "no value of \(label): \(line)") }
                rest = rest.dropFirst(2)
                let value = try Self.readQuoted(&rest, line)
                guard labels.updateValue(value, forKey: label) == nil else {
                    throw Malformed(description: "\(label) is there twice: \(line)")
                }
            } while rest.first == ","
            guard rest.first == "}" else { throw Malformed(description: "labels do not end: \(line)") }
            rest = rest.dropFirst()
        }
        guard rest.first == " ", let value = Self.number(rest.dropFirst()) else {
            throw Malformed(description: "no number: \(line)")
        }
        let series = Series(name: name, labels: labels)
        guard values.updateValue(value, forKey: series) == nil else {
            throw Malformed(description: "a series is there twice: \(line)")
        }
        family.append(series)
    }

    private static func readQuoted(_ rest: inout Substring, _ line: Substring) throws -> String {
        var value = ""
        while let character = rest.popFirst() {
            if character == "\"" { return value }
            guard character == "\\" else {
                value.append(character)
                continue
            }
            switch rest.popFirst() {
            case "\\": value += "\\"
            case "n": value += "\n"
            case "\"": value += "\""
            default: throw Malformed(description: "unknown escape: \(line)")
            }
        }
        throw Malformed(description: "a label does not end: \(line)")
    }

    private static func number(_ text: Substring) -> Double? {
        switch text {
        case "+Inf": .infinity
        case "-Inf": -.infinity
        case "NaN": .nan
        default: text.allSatisfy { $0.isNumber || "+-.eE".contains($0) } ? Double(text) : nil
        }
    }

    private static func check(name: String, colons: Bool) throws {
        let isRight =
            name.first.map { $0.isASCII && ($0.isLetter || $0 == "_") } == true
            && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || (colons && $0 == ":")) }
        guard isRight else { throw Malformed(description: "no name: '\(name)'") }
    }

    // MARK: Families

    private func checkFamily(_ name: String, _ type: String) throws {
        let units = ["_milliseconds", "_ms", "_minutes", "_hours", "_kilobytes", "_megabytes", "_percent"]
        guard !units.contains(where: name.contains) else { throw Malformed(description: "\(name) is in no base unit") }
        guard name.hasSuffix("_total") == (type == "counter") else {
            throw Malformed(description: "\(name) is a \(type)")
        }
        guard type == "histogram" else {
            guard family.allSatisfy({ $0.name == name }) else {
                throw Malformed(description: "\(name) has others' samples")
            }
            for series in family where type == "counter" {
                guard values[series]! >= 0, values[series]!.isFinite else {
                    throw Malformed(description: "\(name) is \(values[series]!)")
                }
            }
            return
        }
        var buckets: [[String: String]: [(bound: Double, count: Double)]] = [:]
        var rest: Set<Series> = []
        for series in family {
            guard series.name == name + "_bucket" else {
                rest.insert(series)
                continue
            }
            guard let bound = series.labels["le"].flatMap({ Self.number($0[...]) }) else {
                throw Malformed(description: "a bucket of \(name) has no bound")
            }
            buckets[series.labels.filter { $0.key != "le" }, default: []].append((bound, values[series]!))
        }
        for (labels, list) in buckets {
            let sum = Series(name: name + "_sum", labels: labels)
            let count = Series(name: name + "_count", labels: labels)
            let isAscending = zip(list, list.dropFirst()).allSatisfy { $0.bound < $1.bound && $0.count <= $1.count }
            guard isAscending, list.last?.bound == .infinity, rest.remove(sum) != nil, rest.remove(count) != nil,
                list.last?.count == values[count]
            else { throw Malformed(description: "\(name)\(labels) is no histogram") }
        }
        guard rest.isEmpty else { throw Malformed(description: "\(name) has others' samples") }
    }
}
