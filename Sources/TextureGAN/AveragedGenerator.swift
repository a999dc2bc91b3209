import NNCore

/// A generator whose weights are an exponential moving average of another's, which is being trained and knows nothing
/// of it. The average is at rest where the trained weights circle around a point.
public struct AveragedGenerator: Sendable {
    public let generator: Generator
    private let pairs: [(average: Parameter, trained: Parameter)]
    private let memory: Float

    /// Begins as a copy.
    init(of trained: Generator, _ recipe: Recipe) {
        generator = Generator(recipe, trained: false)
        pairs = Array(zip(generator.parameters, trained.parameters))
        memory = recipe.ema
        for (average, trained) in pairs { average.copy(trained) }
    }

    /// After each update of the trained weights. The first updates count more, so that the start is soon forgotten: the
    /// average keeps min(ema, i / (i + 10)) of itself.
    /// - Parameter iteration: of the update, counted from 1.
    func follow(iteration: Int, in workspace: Workspace) {
        let share = 1 - min(memory, Float(iteration) / Float(iteration + 10))
        for (average, trained) in pairs {
            if trained.isTrained {
                average.move(towards: trained, by: share, in: workspace)
            } else {
                // A norm's averages, which are averages already.
                average.copy(trained)
            }
        }
    }
}
