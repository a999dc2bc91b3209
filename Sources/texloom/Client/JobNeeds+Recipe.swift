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
    /// - Throws: `ExpansionFailure` for pictures that cannot be made of the exemplar, or that a job may not make, and for
    ///   statistics that the recipe's generators lack.
    init(of work: FollowUp, after source: SubmittedTraining) throws {
        self.init()
        let recipe = try? Recipe(yaml: source.recipeYAML, source: "recipe")
        let layout = source.layout
        func generator(with statistics: NormStatistics) throws -> Generator? {
            guard let recipe else { return nil }
            let generator = Generator(recipe, layout, trained: false)
            try statistics.require(of: generator, named: "a generator of recipe '\(recipe.name)'")
            return generator
        }
        if work.kind == .export, let options = try? ExportOptions(work.spec) {
            _ = try generator(with: options.statistics)
        }
        guard work.kind == .expand, let options = try? ExpansionOptions(work.spec) else { return }
        let plan = try PictureExpansion.check(
            options, of: source.fileName, width: source.width, height: source.height)
        try ProductLimits.cluster.check(options, plan, of: layout)
        guard let generator = try generator(with: options.statistics) else { return }
        memoryBytes = try PictureExpansion.neededBytes(
            for: options, of: source.fileName, width: source.width, height: source.height, with: generator)
    }
}

extension SubmittedTraining {
    fileprivate var layout: MapLayout { maps.isEmpty ? .picture : MaterialFiles.layout(of: maps) ?? .picture }
}

extension Recipe {
    fileprivate var requiredWeights: [String] { style.map { [$0.rawValue] } ?? [] }
}

/// Computes what trainings require of a worker, for submissions that do not say so. A recipe that comes several times
/// in a row is read once.
final class RecipeNeeds: Sendable {
    private let last = Mutex<(yaml: String, recipe: Recipe?)>(("", nil))

    /// An unreadable recipe requires nothing, and no memory is known for an exemplar that is too small: the worker that
    /// gets the job reports what is wrong.
    func needs(of training: SubmittedTraining) -> JobNeeds {
        guard let recipe = recipe(training.recipeYAML) else { return JobNeeds() }
        let needs = try? JobNeeds(
            of: recipe, width: training.width, height: training.height, layout: training.layout,
            exemplar: training.fileName)
        return needs ?? JobNeeds(weights: recipe.requiredWeights)
    }

    private func recipe(_ yaml: String) -> Recipe? {
        let known = last.withLock { $0 }
        if known.yaml == yaml { return known.recipe }
        let recipe = try? Recipe(yaml: yaml, source: "recipe")
        last.withLock { $0 = (yaml, recipe) }
        return recipe
    }
}
