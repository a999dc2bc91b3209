/// The duration of a training: its iterations, and the snapshots between them with their figures.
public struct TrainingTime: Sendable, Equatable {
    public var iterations: Int
    public var secondsPerIteration: Double
    public var snapshots: Int
    /// For the expansion, its figures and its file.
    public var secondsPerSnapshot: Double

    public init(iterations: Int, secondsPerIteration: Double, snapshots: Int, secondsPerSnapshot: Double) {
        self.iterations = iterations
        self.secondsPerIteration = secondsPerIteration
        self.snapshots = snapshots
        self.secondsPerSnapshot = secondsPerSnapshot
    }

    /// The total.
    public var seconds: Double {
        Double(iterations) * secondsPerIteration + Double(snapshots) * secondsPerSnapshot
    }
}

extension Recipe {
    /// The number of snapshots after an iteration: one every `snapshotEvery` iterations, and one of the last.
    public func snapshots(after iteration: Int) -> Int {
        guard iteration < iterations else { return 0 }
        return (iterations + snapshotEvery - 1) / snapshotEvery - iteration / snapshotEvery
    }

    /// Identifies the recipe's amount of work, as text: all values except name and seed.
    ///
    /// Nil if the exemplar's size decides the crops (`k: auto`), and with them the work.
    public var workload: String? {
        guard k != nil else { return nil }
        var recipe = self
        recipe.name = Recipe.paper.name
        recipe.seed = Recipe.paper.seed
        return recipe.values
    }

    /// The workload of a recipe file; nil also for a text that is no recipe.
    public static func workload(ofFile yaml: String) -> String? {
        (try? Recipe(yaml: yaml, source: "the recipe"))?.workload
    }
}
