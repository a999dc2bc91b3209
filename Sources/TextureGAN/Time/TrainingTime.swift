/// How long a training takes: its iterations, and the snapshots with their figures between them.
public struct TrainingTime: Sendable, Equatable {
    public var iterations: Int
    public var secondsPerIteration: Double
    public var snapshots: Int
    /// Of the expansion, its figures and its file.
    public var secondsPerSnapshot: Double

    public init(iterations: Int, secondsPerIteration: Double, snapshots: Int, secondsPerSnapshot: Double) {
        self.iterations = iterations
        self.secondsPerIteration = secondsPerIteration
        self.snapshots = snapshots
        self.secondsPerSnapshot = secondsPerSnapshot
    }

    /// Of the whole.
    public var seconds: Double {
        Double(iterations) * secondsPerIteration + Double(snapshots) * secondsPerSnapshot
    }
}

extension Recipe {
    /// How many snapshots come after an iteration: one every `snapshotEvery`, and one of the last.
    public func snapshots(after iteration: Int) -> Int {
        guard iteration < iterations else { return 0 }
        return (iterations + snapshotEvery - 1) / snapshotEvery - iteration / snapshotEvery
    }

    /// What tells the recipe's work from that of others, as text: all values but the name and the seed.
    ///
    /// Nil where the work depends on the exemplar, whose size decides the crops (`k: auto`).
    public var workload: String? {
        guard k != nil else { return nil }
        var recipe = self
        recipe.name = Recipe.paper.name
        recipe.seed = Recipe.paper.seed
        return recipe.values
    }

    /// The workload of a recipe file; nil also of a text that is none.
    public static func workload(ofFile yaml: String) -> String? {
        (try? Recipe(yaml: yaml, source: "the recipe"))?.workload
    }
}
