import NNCore

extension Parameter {
    func zeroGradient() { gradient?.update(repeating: 0, count: count) }
}
