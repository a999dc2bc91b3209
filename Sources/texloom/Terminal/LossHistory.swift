/// A run's measurements in constant memory: means over intervals of iterations, which double in length whenever the run
/// outgrows them.
struct LossHistory: Sendable, Equatable {
    /// More than the columns of a terminal.
    static let maxStretches = 512

    private struct Stretch: Sendable, Equatable {
        var sum = 0.0
        var count = 0
    }

    private var iterationsPerStretch = 1
    private var terms: [String: [Int: Stretch]] = [:]

    var names: Set<String> { Set(terms.keys) }

    mutating func add(iteration: Int, _ values: [String: Float]) {
        guard iteration >= 0 else { return }
        while iteration / iterationsPerStretch >= Self.maxStretches { lengthen() }
        for (name, value) in values where value.isFinite {
            terms[name, default: [:]][iteration / iterationsPerStretch, default: Stretch()].sum += Double(value)
            terms[name]![iteration / iterationsPerStretch]!.count += 1
        }
    }

    /// One value for each interval in which the term was measured, in the order of the iterations.
    func values(_ name: String) -> [Double] {
        (terms[name] ?? [:]).sorted { $0.key < $1.key }.map { $0.value.sum / Double($0.value.count) }
    }

    private mutating func lengthen() {
        iterationsPerStretch *= 2
        terms = terms.mapValues { stretches in
            var merged: [Int: Stretch] = [:]
            for (index, stretch) in stretches {
                merged[index / 2, default: Stretch()].sum += stretch.sum
                merged[index / 2]!.count += stretch.count
            }
            return merged
        }
    }
}
