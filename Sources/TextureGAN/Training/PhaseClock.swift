/// Seconds spent in each phase of an iteration, summed over all iterations.
struct PhaseClock: Sendable {
    /// The raw values name phases in reports.
    enum Phase: String {
        case generatorForward = "g_forward"
        case discriminatorForward = "d_forward"
        case discriminatorBackward = "d_backward"
        case discriminatorAdam = "d_adam"
        case vggForward = "vgg_forward"
        case vggBackward = "vgg_backward"
        /// The generator's adversarial loss: through the frozen discriminators.
        case adversarialForward = "gan_forward"
        case adversarialBackward = "gan_backward"
        case generatorBackward = "g_backward"
        /// With the running average.
        case generatorAdam = "g_adam"
    }

    private(set) var seconds: [Phase: Double] = [:]
    private var last = ContinuousClock.now

    /// An iteration begins; the time since the last phase belongs to none.
    mutating func start() { last = ContinuousClock.now }

    /// A phase ends.
    mutating func mark(_ phase: Phase) {
        let now = ContinuousClock.now
        seconds[phase, default: 0] += (now - last) / .seconds(1)
        last = now
    }
}
