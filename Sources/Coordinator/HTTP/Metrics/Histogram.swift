/// Counts values by size, and sums them. Prometheus computes rates and quantiles from it.
struct Histogram: Sendable, Equatable {
    /// The largest value of each bucket, ascending. One more bucket takes all larger values.
    let bounds: [Double]
    /// The count of each bucket alone, not cumulative.
    private(set) var counts: [Int]
    private(set) var sum = 0.0

    /// - Parameter bounds: Ascending.
    init(_ bounds: [Double]) {
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    var count: Int { counts.reduce(0, +) }

    /// - Parameter times: How many equal values to record.
    mutating func record(_ value: Double, times: Int = 1) {
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += times
        sum += value * Double(times)
    }
}

extension Histogram {
    /// Seconds of something that should take milliseconds.
    static var delays: Histogram {
        Histogram([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10])
    }

    /// Seconds that a job waits for a worker: from nearly none to a week.
    static var waits: Histogram {
        Histogram([1, 5, 15, 60, 300, 900, 3_600, 14_400, 43_200, 86_400, 259_200, 604_800])
    }

    /// Seconds of one training iteration: from a few hundred pixels on many cores to `paper` on one core.
    static var iterations: Histogram { Histogram([0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 300]) }
}
