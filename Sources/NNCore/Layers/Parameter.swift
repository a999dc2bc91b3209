#if canImport(Glibc)
    import Glibc
#endif

/// The layout of a parameter in memory and in files.
public enum ParameterLayout: Sendable, Hashable {
    /// `[count]` in both.
    case vector(Int)
    /// In memory `[kernelSize, kernelSize, inputChannels, outputChannels]`, so that channel vectors are contiguous; in
    /// files PyTorch's `[outputChannels, inputChannels, kernelSize, kernelSize]`. A transposed convolution is stored as
    /// the convolution whose adjoint it is, which makes its file layout PyTorch's as well.
    case convolution(kernelSize: Int, inputChannels: Int, outputChannels: Int)

    public var count: Int {
        switch self {
        case .vector(let count): count
        case .convolution(let kernelSize, let inputChannels, let outputChannels):
            kernelSize * kernelSize * inputChannels * outputChannels
        }
    }

    /// The shape in files.
    public var fileShape: [Int] {
        switch self {
        case .vector(let count): [count]
        case .convolution(let kernelSize, let inputChannels, let outputChannels):
            [outputChannels, inputChannels, kernelSize, kernelSize]
        }
    }
}

/// A named array of a network. A trained one has a gradient and Adam's moments; running statistics and frozen weights
/// have a value only.
public final class Parameter: @unchecked Sendable {
    public let name: String
    public let layout: ParameterLayout
    public let value: UnsafeMutablePointer<Float>
    /// Accumulates over backward passes until an optimiser's step.
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
        for memory in [value, gradient, firstMoment, secondMoment] {
            guard let memory else { continue }
            if let length = Self.mappedBytes(layout.count) { munmap(memory, length) } else { memory.deallocate() }
        }
    }

    private static func allocate(_ count: Int) -> UnsafeMutablePointer<Float> {
        guard let length = mappedBytes(count) else {
            let bytes = UnsafeMutableRawPointer.allocate(
                byteCount: max(count, 1) * MemoryLayout<Float>.size, alignment: Arena.alignmentBytes)
            let floats = bytes.bindMemory(to: Float.self, capacity: count)
            floats.initialize(repeating: 0, count: count)
            return floats
        }
        // Pages of zeros take memory when they are first written: a network whose sizes alone are asked for takes none.
        let alignment = Arena.hugePageBytes
        guard
            let range = mmap(
                nil, length + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            range != MAP_FAILED
        else { fatalError("no address space for \(count) weights") }
        let bytes = range.alignedUp(toMultipleOf: alignment)
        if bytes > range { munmap(range, bytes - range) }
        munmap(bytes + length, alignment - (bytes - range))
        // Before the first access: kernels read weights in short pieces far apart, which small pages would make slow.
        madvise(bytes, length, MADV_HUGEPAGE)
        return bytes.bindMemory(to: Float.self, capacity: count)
    }

    /// The length of a large array's own mapping, in whole pages; nil for a small array.
    private static func mappedBytes(_ count: Int) -> Int? {
        let size = count * MemoryLayout<Float>.size
        let page = Int(getpagesize())
        return size >= Arena.hugePageBytes ? (size + page - 1) / page * page : nil
    }

    /// He's standard deviation for the weights of a convolution before a ReLU: sqrt(2 / weights of one output channel).
    public var heDeviation: Float {
        (2 / Float(max(1, layout.fileShape.dropFirst().reduce(1, *)))).squareRoot()
    }

    /// Moves the values a share of the way to another parameter's values.
    public func move(towards other: Parameter, by share: Float, in workspace: Workspace) {
        precondition(other.layout == layout)
        let (from, to) = (other.value, value)
        workspace.pool.run(over: count, grain: 1 << 14) { range in
            for index in range { to[index] += share * (from[index] - to[index]) }
        }
    }

    /// Copies another parameter's values.
    public func copy(_ other: Parameter) {
        precondition(other.layout == layout)
        value.update(from: other.value, count: count)
    }

    /// Normally distributed values.
    public func fillNormal(mean: Float, deviation: Float, from stream: inout RandomStream) {
        // In the file's order, so that initial weights do not depend on the memory layout.
        var drawn = [Float](repeating: 0, count: count)
        for index in 0..<count { drawn[index] = mean + deviation * stream.normal() }
        load(fileOrder: drawn)
    }

    public func fill(_ constant: Float) { value.update(repeating: constant, count: count) }

    /// Sets an array of this parameter's size (the value by default) from values in the file's layout.
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
        case .convolution(let kernelSize, let inputChannels, let outputChannels):
            let kernelArea = kernelSize * kernelSize
            for tap in 0..<kernelArea {
                for input in 0..<inputChannels {
                    for output in 0..<outputChannels {
                        body(
                            (tap * inputChannels + input) * outputChannels + output,
                            (output * inputChannels + input) * kernelArea + tap)
                    }
                }
            }
        }
    }
}
