import ClusterCore
import Coordinator
import Protocol
import Synchronization
import TextureGAN
import Worker

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

extension JobNeeds {
    /// What work on a generator requires of a worker. An unreadable recipe or spec requires nothing: the worker that gets
    /// it reports what is wrong.
    /// - Throws: `ExpansionFailure` for pictures that cannot be made of the exemplar, or that a job may not make.
    init(of work: FollowUp, after source: SourceOfFollower) throws {
        self.init()
        guard work.kind == .expand, let options = try? ExpansionOptions(work.spec) else { return }
        let plan = try PictureExpansion.check(
            options, of: source.fileName, width: source.width, height: source.height)
        let layout = source.maps.isEmpty ? .picture : MaterialFiles.layout(of: source.maps) ?? .picture
        try ProductLimits.cluster.check(options, plan, of: layout)
        guard let recipe = try? Recipe(yaml: source.recipeYAML, source: "recipe") else { return }
        memoryBytes = try PictureExpansion.neededBytes(
            for: options, of: source.fileName, width: source.width, height: source.height,
            with: Generator(recipe, layout, trained: false))
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
