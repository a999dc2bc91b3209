import NNCore

/// Values of a network, and the gradient that is to be checked.
struct GradientClaim {
    var name: String
    var values: UnsafeMutablePointer<Float>
    var gradient: [Float]
}

/// The error of each claim against central differences of a function of float32 kernels.
///
/// A random half of the values is moved, each by `step` in the direction in which the function should grow: all changes
/// add up, which lifts the difference far above float32's rounding, while every missing, doubled or misplaced part of
/// the gradient still shows. Errors are relative to the change expected, or to 3e-4 of the largest change that any
/// claim expects where that is more: normalisation all but cancels some gradients, and what is left is rounding.
func differenceErrors(
    _ claims: [GradientClaim], step: Float, _ function: () -> Double
) -> [(name: String, error: Double)] {
    var results: [(name: String, expected: Double, error: Double)] = []
    for claim in claims {
        let start = claim.gradient.indices.map { claim.values[$0] }
        for seed in 1...2 {
            let chosen = randomValues(start.count, seed: UInt64(seed + 500))
            let direction = zip(claim.gradient, chosen).map { slope, chosen in
                chosen < 0 && start.count > 3 ? 0 : slope < 0 ? -1 : 1 as Float
            }
            for index in start.indices { claim.values[index] = start[index] + step * direction[index] }
            let above = function()
            for index in start.indices { claim.values[index] = start[index] - step * direction[index] }
            let below = function()
            for index in start.indices { claim.values[index] = start[index] }
            let expected = dot(claim.gradient, direction)
            results.append((claim.name, expected, abs((above - below) / (2 * Double(step)) - expected)))
        }
    }
    let floor = 3e-4 * (results.map(\.expected).max() ?? 0)
    return results.map { ($0.name, $0.error / max($0.expected, floor)) }
}

extension GradientClaim {
    /// The claims that a backward pass has left in trained parameters.
    static func of(_ parameters: [Parameter]) -> [GradientClaim] {
        parameters.filter(\.isTrained).map { parameter in
            let gradient = UnsafeBufferPointer(start: parameter.gradient, count: parameter.count)
            return GradientClaim(name: parameter.name, values: parameter.value, gradient: Array(gradient))
        }
    }
}
