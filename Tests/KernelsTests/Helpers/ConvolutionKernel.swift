import TensorChecks
import Testing

@testable import Kernels
@testable import Tensors

/// The shape of a convolution, with its padding.
struct ConvolutionCase: CustomTestStringConvertible {
    var images = 1
    var height: Int
    var width: Int
    var inputChannels: Int
    var outputChannels: Int
    var padding = Padding(1)

    var testDescription: String {
        "\(images)x\(height)x\(width) \(inputChannels)->\(outputChannels) padding \(padding.amount) \(padding.mode)"
    }

    /// Sizes and widths of the networks, scaled down where the reference would take long, and some odd ones.
    static func table(paddings: [Padding]) -> [ConvolutionCase] {
        var cases: [ConvolutionCase] = []
        for padding in paddings {
            let sizes = [
                (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 8), (3, 9), (13, 6), (16, 16), (17, 31),
            ]
            for (index, (height, width)) in sizes.enumerated() {
                let widths = [(1, 1), (3, 8), (8, 3), (5, 12), (12, 5), (16, 24), (24, 20), (32, 40)]
                for offset in 0..<2 {
                    let (inputChannels, outputChannels) = widths[(index * 2 + offset) % widths.count]
                    cases.append(
                        ConvolutionCase(
                            height: height, width: width, inputChannels: inputChannels, outputChannels: outputChannels,
                            padding: padding))
                }
            }
            // Batches with few and with many tiles. The last tiles of an image reach beyond it.
            for (images, height, width, inputChannels, outputChannels) in [
                (2, 7, 5, 5, 12), (3, 13, 6, 24, 20), (2, 9, 8, 64, 136), (2, 50, 47, 8, 16),
            ] {
                cases.append(
                    ConvolutionCase(
                        images: images, height: height, width: width, inputChannels: inputChannels,
                        outputChannels: outputChannels,
                        padding: padding))
            }
            // The networks' widths with few and with many tiles.
            cases.append(ConvolutionCase(height: 8, width: 8, inputChannels: 64, outputChannels: 136, padding: padding))
            if padding.amount == 1 && padding.mode != .replicate {
                cases += [
                    ConvolutionCase(height: 33, width: 32, inputChannels: 64, outputChannels: 32, padding: padding),
                    ConvolutionCase(height: 9, width: 4, inputChannels: 256, outputChannels: 64, padding: padding),
                    ConvolutionCase(height: 67, width: 66, inputChannels: 8, outputChannels: 16, padding: padding),
                    ConvolutionCase(height: 68, width: 64, inputChannels: 16, outputChannels: 24, padding: padding),
                ]
            }
        }
        return cases
    }
}

/// One convolution kernel, as the tests drive it.
struct ConvolutionKernel: Sendable {
    var kernelSize: Int
    var stride: Int
    var forward: @Sendable (Tensor, Padding, UnsafePointer<Float>, Tensor, Workspace) -> Void
    var inputGradient: @Sendable (Tensor, UnsafePointer<Float>, Padding, Tensor, Workspace) -> Void
    var weightGradient: @Sendable (Tensor, Padding, Tensor, UnsafeMutablePointer<Float>, Workspace) -> Void

    /// Whether the kernel defines the case: reflection needs room, and the image must be at least as large as the
    /// filter.
    func takes(_ shape: ConvolutionCase) -> Bool {
        let least = min(shape.height, shape.width)
        return least + 2 * shape.padding.amount >= kernelSize
            && (shape.padding.mode != .reflect || least > shape.padding.amount)
    }

    /// Runs all three directions on `threads` threads.
    func run(
        _ shape: ConvolutionCase, threads: Int, inputGradient takesInputGradient: Bool = true
    ) -> (y: [Float], dx: [Float], dw: [Float]) {
        let problem = Problem(shape, kernelSize: kernelSize, stride: stride)
        let workspace = Workspace(threads: threads, arena: Arena(reservedBytes: 4 << 30))
        let arena = workspace.arena
        let x = Tensor(
            in: arena, problem.x.flatMap(\.values), images: shape.images, height: shape.height, width: shape.width,
            channels: shape.inputChannels)
        let y = Tensor(
            in: arena, images: shape.images, height: problem.outputHeight, width: problem.outputWidth,
            channels: shape.outputChannels)
        let dy = Tensor(
            in: arena, problem.dOutput.flatMap { $0 }, images: shape.images, height: y.height, width: y.width,
            channels: y.channels)
        let dx = Tensor(in: arena, like: x)
        y.buffer.update(repeating: .nan)
        dx.buffer.update(repeating: .nan)
        var dw = problem.startOfWeightGradient
        let before = arena.mark
        problem.weight.withUnsafeBufferPointer { weight in
            forward(x, shape.padding, weight.baseAddress!, y, workspace)
            if takesInputGradient { inputGradient(dy, weight.baseAddress!, shape.padding, dx, workspace) }
        }
        dw.withUnsafeMutableBufferPointer { weightGradient(x, shape.padding, dy, $0.baseAddress!, workspace) }
        arena.release(to: before)
        return (y.values, dx.values, dw)
    }

    func check(_ shape: ConvolutionCase, rms: Double, maximum: Double, inputGradient: Bool = true) {
        let problem = Problem(shape, kernelSize: kernelSize, stride: stride)
        let result = run(shape, threads: 1, inputGradient: inputGradient)
        let reference = ReferenceConvolution(kernelSize: kernelSize, stride: stride, padding: shape.padding)
        // Results are per image, except the weight gradient, which is a sum.
        var weightGradient = problem.startOfWeightGradient.map(Double.init)
        for (x, dOutput) in zip(problem.x, problem.dOutput) {
            let share = reference.weightGradient(x, outputChannels: shape.outputChannels, dOutput: dOutput)
            for index in share.indices { weightGradient[index] += share[index] }
        }
        let y = problem.x.flatMap {
            reference.forward($0, weight: problem.weight, outputChannels: shape.outputChannels)
        }
        let dx = zip(problem.x, problem.dOutput).flatMap {
            reference.inputGradient($0, weight: problem.weight, outputChannels: shape.outputChannels, dOutput: $1)
        }
        for (name, deviation) in [
            ("forward", Deviation(result.y, from: y)),
            ("input gradient", Deviation(inputGradient ? result.dx : [], from: inputGradient ? dx : [])),
            ("weight gradient", Deviation(result.dw, from: weightGradient)),
        ] where inputGradient || name != "input gradient" {
            #expect(deviation.isFinite, "\(name)")
            #expect(deviation.rms < rms, "\(name): \(deviation)")
            #expect(deviation.maximum < maximum, "\(name): \(deviation)")
        }
    }

    func checkThreads(_ shape: ConvolutionCase) {
        let one = run(shape, threads: 1)
        for threads in 2...3 {
            let more = run(shape, threads: threads)
            #expect(one.y == more.y)
            #expect(one.dx == more.dx)
            #expect(one.dw == more.dw)
        }
    }
}

/// Random values for a case: an input and an output gradient for each image.
private struct Problem {
    let x: [Image]
    let weight: [Float]
    let dOutput: [[Float]]
    let startOfWeightGradient: [Float]
    let outputHeight: Int
    let outputWidth: Int

    init(_ shape: ConvolutionCase, kernelSize: Int, stride: Int) {
        let reference = ReferenceConvolution(kernelSize: kernelSize, stride: stride, padding: shape.padding)
        x = (0..<shape.images).map {
            Image(height: shape.height, width: shape.width, channels: shape.inputChannels, seed: 1 + 10 * UInt64($0))
        }
        weight = randomValues(kernelSize * kernelSize * shape.inputChannels * shape.outputChannels, seed: 2)
        outputHeight = reference.outputLength(shape.height)
        outputWidth = reference.outputLength(shape.width)
        let count = outputHeight * outputWidth * shape.outputChannels
        dOutput = (0..<shape.images).map { randomValues(count, seed: 3 + 10 * UInt64($0)) }
        startOfWeightGradient = randomValues(weight.count, seed: 4)
    }
}
