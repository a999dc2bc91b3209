/// What is left of a training under way: at first as expected, then more and more as measured.
public struct TrainingPace: Sendable {
    private let recipe: Recipe
    private var iteration = MovingAverage()
    private var snapshot = MovingAverage(limit: 4)

    /// - Parameter expected: the measurement to begin with; nil: the first iteration is all that is known then.
    public init(_ recipe: Recipe, expected: TrainingTime?) {
        self.recipe = recipe
        guard let expected else { return }
        // The first iteration finds nothing in the caches: by itself it must not move the number much.
        iteration = MovingAverage(expected.secondsPerIteration, weight: 50)
        snapshot = MovingAverage(expected.secondsPerSnapshot, weight: 1, limit: 4)
    }

    public mutating func iterated(seconds: Double) { iteration.add(seconds) }

    /// A snapshot was computed, measured and written.
    public mutating func tookSnapshot(seconds: Double) { snapshot.add(seconds) }

    public var secondsPerIteration: Double { iteration.value }

    /// What the iterations and snapshots behind an iteration take.
    public func remaining(after iteration: Int) -> TrainingTime {
        TrainingTime(
            iterations: max(0, recipe.iterations - iteration), secondsPerIteration: self.iteration.value,
            snapshots: recipe.snapshots(after: iteration), secondsPerSnapshot: snapshot.value)
    }
}

/// The mean of the first values, then one in which each new value counts for a fixed share.
public struct MovingAverage: Sendable, Equatable {
    /// 0 before the first.
    public private(set) var value = 0.0
    private var weight = 0.0
    private let limit: Double

    /// - Parameter limit: a new value counts for at least one part in so many. Iterations alternate where a recipe leaves
    ///   the style loss out of every second one, so a few must not decide.
    public init(limit: Double = 50) { self.limit = limit }

    /// - Parameter weight: how many values the first one counts for.
    public init(_ value: Double, weight: Double, limit: Double = 50) {
        (self.value, self.weight, self.limit) = (value, weight, limit)
    }

    public mutating func add(_ new: Double) {
        weight = min(limit, weight + 1)
        value += (new - value) / weight
    }
}
