/// The remaining time of a running training: at first as expected, then more and more as measured.
public struct TrainingPace: Sendable {
    private let recipe: Recipe
    private var iteration = MovingAverage()
    private var snapshot = MovingAverage(limit: 4)

    /// - Parameter expected: the initial estimate; nil starts from the first iteration alone.
    public init(_ recipe: Recipe, expected: TrainingTime?) {
        self.recipe = recipe
        guard let expected else { return }
        // The first iteration runs with cold caches, so a single value must not move the estimate much.
        iteration = MovingAverage(expected.secondsPerIteration, weight: 50)
        snapshot = MovingAverage(expected.secondsPerSnapshot, weight: 1, limit: 4)
    }

    public mutating func iterated(seconds: Double) { iteration.add(seconds) }

    /// Records a snapshot, which was computed, measured and written.
    public mutating func tookSnapshot(seconds: Double) { snapshot.add(seconds) }

    public var secondsPerIteration: Double { iteration.value }

    /// The time of the iterations and snapshots after an iteration.
    public func remaining(after iteration: Int) -> TrainingTime {
        TrainingTime(
            iterations: max(0, recipe.iterations - iteration), secondsPerIteration: self.iteration.value,
            snapshots: recipe.snapshots(after: iteration), secondsPerSnapshot: snapshot.value)
    }
}

/// The mean of the first values, then an exponential average in which each new value has a fixed share.
public struct MovingAverage: Sendable, Equatable {
    /// 0 before the first.
    public private(set) var value = 0.0
    private var weight = 0.0
    private let limit: Double

    /// - Parameter limit: a new value counts for at least one part in `limit`. Some recipes compute the style loss in
    ///   every second iteration only, so a few values must not decide.
    public init(limit: Double = 50) { self.limit = limit }

    /// - Parameter weight: the number of values that the first one stands for.
    public init(_ value: Double, weight: Double, limit: Double = 50) {
        (self.value, self.weight, self.limit) = (value, weight, limit)
    }

    public mutating func add(_ new: Double) {
        weight = min(limit, weight + 1)
        value += (new - value) / weight
    }
}
