/// The measurements of one iteration.
public struct StepReport: Sendable {
    /// The discriminator's loss on the generator's image and on the target.
    public var discriminatorFake = 0.0
    public var discriminatorReal = 0.0
    /// The generator's terms before their weights.
    public var adversarial = 0.0
    public var l1 = 0.0
    /// The sum over the taps of 1000 / C^2 times the mean square, before `style_weight`; 0 without a style loss.
    /// Iterations without a style loss repeat the last value.
    public var style = 0.0
    /// Norms of the weighted terms' gradients at the generator's output: how much each term contributes.
    public var adversarialGradient = 0.0
    public var l1Gradient = 0.0
    public var styleGradient = 0.0

    /// Name and value, in the order of the metrics' columns.
    public var columns: [(name: String, value: Double)] {
        [
            ("discriminator_fake", discriminatorFake), ("discriminator_real", discriminatorReal),
            ("adversarial", adversarial), ("l1", l1), ("style", style),
            ("gradient_adversarial", adversarialGradient), ("gradient_l1", l1Gradient),
            ("gradient_style", styleGradient),
        ]
    }

    /// False if any value is infinite or not a number, since their sum is too.
    var isFinite: Bool {
        (discriminatorFake + discriminatorReal + adversarial + l1 + style
            + adversarialGradient + l1Gradient + styleGradient).isFinite
    }
}
