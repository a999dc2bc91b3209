import NNCore

/// A generator whose weights are an exponential moving average of the trained generator's. The average is at rest while
/// the trained weights circle around a point; training does not depend on it.
public struct AveragedGenerator: Sendable {
    public let generator: Generator
    private let pairs: [(average: Parameter, trained: Parameter)]
    private let ema: Float

    /// Starts as a copy.
    init(of trained: Generator, _ recipe: Recipe) {
        generator = Generator(recipe, trained.layout, trained: false)
        pairs = Array(zip(generator.parameters, trained.parameters))
        ema = recipe.ema
        for (average, trained) in pairs { average.copy(trained) }
    }

    /// Moves the average towards the trained weights after each of their updates. It keeps min(ema, i / (i + 10)) of
    /// itself, so that the initial weights are soon forgotten.
    /// - Parameter iteration: i, counted from 1.
    func follow(iteration: Int, in workspace: Workspace) {
        let share = 1 - min(ema, Float(iteration) / Float(iteration + 10))
        for (average, trained) in pairs {
            if trained.isTrained {
                average.move(towards: trained, by: share, in: workspace)
            } else {
                // A norm's running statistics are averages already.
                average.copy(trained)
            }
        }
    }
}
