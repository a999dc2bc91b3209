/// Seconds spent in each phase of an iteration, summed over all iterations.
struct PhaseClock: Sendable {
    private(set) var seconds: [String: Double] = [:]
    private var last = ContinuousClock.now

    /// An iteration begins; the time since the last phase belongs to none.
    mutating func start() { last = ContinuousClock.now }

    /// A phase ends.
    mutating func mark(_ phase: String) {
        let now = ContinuousClock.now
        seconds[phase, default: 0] += (now - last) / .seconds(1)
        last = now
    }
}
