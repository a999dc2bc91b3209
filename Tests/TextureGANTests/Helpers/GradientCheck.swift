import NNCore

/// Values of a network, and their gradient to check.
struct GradientClaim {
    var name: String
    var values: UnsafeMutablePointer<Float>
    var gradient: [Float]
}

/// The error of each claim against central differences of a function of float32 kernels.
///
/// The check moves a random half of the values, each by `step` in the direction that should increase the function. All
/// changes add up, which lifts the difference far above float32's rounding. Every missing, doubled or misplaced part of
/// the gradient still shows. Errors are relative to the expected change, or to 3e-4 of the largest change that any
/// claim expects, if that is more: normalisation cancels some gradients almost completely, and only rounding is left of
/// them.
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
    /// The claims of the last backward pass for trained parameters.
    static func of(_ parameters: [Parameter]) -> [GradientClaim] {
        parameters.filter(\.isTrained).map { parameter in
            let gradient = UnsafeBufferPointer(start: parameter.gradient, count: parameter.count)
            return GradientClaim(name: parameter.name, values: parameter.value, gradient: Array(gradient))
        }
    }
}
