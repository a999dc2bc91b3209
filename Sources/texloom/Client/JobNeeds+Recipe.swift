import Protocol
import Synchronization
import TextureGAN

extension JobNeeds {
    /// What a training of an exemplar needs of a worker.
    /// - Throws: `TrainingError` if the exemplar is too small.
    init(of recipe: Recipe, width: Int, height: Int, exemplar: String) throws(TrainingError) {
        self.init(
            weights: recipe.requiredWeights,
            memoryBytes: try recipe.trainingBytes(width: width, height: height, exemplar: exemplar))
    }
}

extension Recipe {
    fileprivate var requiredWeights: [String] { style.map { [$0.rawValue] } ?? [] }
}

/// Reads what recipes need of a worker, for submissions that do not say so; thousands of jobs share a recipe.
final class RecipeNeeds: Sendable {
    private let last = Mutex<(yaml: String, needs: JobNeeds)>(("", JobNeeds()))

    /// Nothing of a recipe that cannot be read: its worker says what is wrong with it.
    func needs(of yaml: String) -> JobNeeds {
        if let known = last.withLock({ $0.yaml == yaml ? $0.needs : nil }) { return known }
        let recipe = try? Recipe(yaml: yaml, source: "recipe")
        let needs = JobNeeds(weights: recipe?.requiredWeights ?? [])
        last.withLock { $0 = (yaml, needs) }
        return needs
    }
}
