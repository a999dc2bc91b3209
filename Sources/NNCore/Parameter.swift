#if canImport(Glibc)
    import Glibc
#endif

/// How a parameter lies in memory and in files.
public enum ParameterLayout: Sendable, Hashable {
    /// `[count]`, the same in both.
    case vector(Int)
    /// In memory `[kernel][kernel][inputs][outputs]`, so that channel vectors are contiguous; in files PyTorch's
    /// `[outputs, inputs, kernel, kernel]`. A transposed convolution is stored as the convolution that it is the
    /// adjoint of, which makes its file layout PyTorch's `[in, out, kernel, kernel]` by the same rule.
    case convolution(kernel: Int, inputs: Int, outputs: Int)

    public var count: Int {
        switch self {
        case .vector(let count): count
        case .convolution(let kernel, let inputs, let outputs): kernel * kernel * inputs * outputs
        }
    }

    /// The shape in files.
    public var fileShape: [Int] {
        switch self {
        case .vector(let count): [count]
        case .convolution(let kernel, let inputs, let outputs): [outputs, inputs, kernel, kernel]
        }
    }
}

/// A named array that a network owns: trained (with gradient and Adam's moments), or carried along (running
/// statistics, frozen feature weights: value only).
public final class Parameter: @unchecked Sendable {
    public let name: String
    public let layout: ParameterLayout
    public let value: UnsafeMutablePointer<Float>
    /// Accumulates over backward passes until `zeroGradient`.
    public let gradient: UnsafeMutablePointer<Float>?
    /// Adam's running mean of the gradient and of its square.
    public let firstMoment: UnsafeMutablePointer<Float>?
    public let secondMoment: UnsafeMutablePointer<Float>?

    public var count: Int { layout.count }
    public var isTrained: Bool { gradient != nil }

    /// All zeros.
    public init(_ name: String, _ layout: ParameterLayout, trained: Bool) {
        self.name = name
        self.layout = layout
        value = Self.allocate(layout.count)
        gradient = trained ? Self.allocate(layout.count) : nil
        firstMoment = trained ? Self.allocate(layout.count) : nil
        secondMoment = trained ? Self.allocate(layout.count) : nil
    }

    deinit {
        for memory in [value, gradient, firstMoment, secondMoment] { memory?.deallocate() }
    }

    private static func allocate(_ count: Int) -> UnsafeMutablePointer<Float> {
        let size = max(count, 1) * 4
        let isLarge = size >= Arena.hugePageBytes
        let bytes = UnsafeMutableRawPointer.allocate(
            byteCount: size, alignment: isLarge ? Arena.hugePageBytes : Arena.alignmentBytes)
        // Before the first touch: weights are read in short pieces far apart, each on a small page of its own.
        if isLarge { madvise(bytes, size, MADV_HUGEPAGE) }
        let floats = bytes.bindMemory(to: Float.self, capacity: count)
        floats.initialize(repeating: 0, count: count)
        return floats
    }

    public func zeroGradient() { gradient?.update(repeating: 0, count: count) }

    /// He's deviation for the weights of a convolution before a ReLU, from the inputs of one output.
    public var heDeviation: Float {
        (2 / Float(max(1, layout.fileShape.dropFirst().reduce(1, *)))).squareRoot()
    }

    /// Moves the values a share of the way to another parameter's.
    public func move(towards other: Parameter, by share: Float, in workspace: Workspace) {
        precondition(other.layout == layout)
        let (from, to) = (other.value, value)
        workspace.pool.run(over: count, grain: 1 << 14) { range in
            for index in range { to[index] += share * (from[index] - to[index]) }
        }
    }

    /// Takes over another parameter's values.
    public func copy(_ other: Parameter) {
        precondition(other.layout == layout)
        value.update(from: other.value, count: count)
    }

    /// Normally distributed values.
    public func fillNormal(mean: Float, deviation: Float, from stream: inout RandomStream) {
        // Drawn in the file's order, so that the initial weights do not depend on the memory layout.
        var drawn = [Float](repeating: 0, count: count)
        for index in 0..<count { drawn[index] = mean + deviation * stream.normal() }
        load(fileOrder: drawn)
    }

    public func fill(_ constant: Float) { value.update(repeating: constant, count: count) }

    /// Sets an array of this parameter's size from values in the file's layout.
    public func load(fileOrder source: [Float], into target: UnsafeMutablePointer<Float>? = nil) {
        precondition(source.count == count)
        let target = target ?? value
        forEachPosition { memory, file in target[memory] = source[file] }
    }

    /// An array of this parameter's size (the value by default) in the file's layout.
    public func fileOrder(_ source: UnsafeMutablePointer<Float>? = nil) -> [Float] {
        let source = source ?? value
        return [Float](unsafeUninitializedCapacity: count) { buffer, used in
            forEachPosition { memory, file in buffer[file] = source[memory] }
            used = count
        }
    }

    @inline(__always)
    private func forEachPosition(_ body: (_ memory: Int, _ file: Int) -> Void) {
        switch layout {
        case .vector(let count):
            for index in 0..<count { body(index, index) }
        case .convolution(let kernel, let inputs, let outputs):
            let taps = kernel * kernel
            for tap in 0..<taps {
                for input in 0..<inputs {
                    for output in 0..<outputs {
                        body((tap * inputs + input) * outputs + output, (output * inputs + input) * taps + tap)
                    }
                }
            }
        }
    }
}
