import ClusterCore
import Protocol
import Synchronization
import TextureGAN

extension JobNeeds {
    /// What training an exemplar requires of a worker.
    /// - Throws: `TrainingError` if the exemplar is too small.
    init(
        of recipe: Recipe, width: Int, height: Int, layout: MapLayout, exemplar: String
    ) throws(TrainingError) {
        self.init(
            weights: recipe.requiredWeights,
            memoryBytes: try recipe.trainingBytes(width: width, height: height, layout: layout, exemplar: exemplar))
    }
}

extension Recipe {
    fileprivate var requiredWeights: [String] { style.map { [$0.rawValue] } ?? [] }
}

/// Computes from recipes what they require of a worker, for submissions that do not say so. Each recipe is read once.
final class RecipeNeeds: Sendable {
    private let last = Mutex<(yaml: String, needs: JobNeeds)>(("", JobNeeds()))

    /// An unreadable recipe requires nothing: the worker that gets it reports what is wrong.
    func needs(of yaml: String) -> JobNeeds {
        if let known = last.withLock({ $0.yaml == yaml ? $0.needs : nil }) { return known }
        let recipe = try? Recipe(yaml: yaml, source: "recipe")
        let needs = JobNeeds(weights: recipe?.requiredWeights ?? [])
        last.withLock { $0 = (yaml, needs) }
        return needs
    }
}
