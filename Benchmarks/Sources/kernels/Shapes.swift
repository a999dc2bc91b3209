import NNCore

/// Memory and threads of a benchmark.
struct Bench {
    let workspace: Workspace

    func random(_ count: Int) -> UnsafeMutablePointer<Float> {
        let values = workspace.arena.floats(count)
        var state: UInt32 = 1
        for i in 0..<count {
            state = state &* 1_664_525 &+ 1_013_904_223
            values[i] = Float(Int32(bitPattern: state)) * 0x1p-31
        }
        return values
    }

    func tensor(_ height: Int, _ width: Int, _ channels: Int, images: Int = 1) -> Tensor {
        Tensor(
            random(images * height * width * channels), images: images, height: height, width: width,
            channels: channels)
    }

    /// A matrix product cut over the threads, as the yardstick.
    func sgemm() -> Candidate {
        let n = 1536
        let parts = workspace.pool.threads
        let block = n / parts
        let a = Matrix(random(n * n), rows: n, columns: n)
        let b = Matrix(random(n * n), rows: n, columns: n)
        let c = Matrix(random(n * n), rows: n, columns: n)
        return Candidate("sgemm", flops: 2 * Double(n * n) * Double(block * parts), threads: parts) {
            workspace.pool.run(blocks: parts) { part in
                multiply(
                    Matrix(a.data + part * block * n, rows: block, columns: n), b,
                    into: Matrix(c.data + part * block * n, rows: block, columns: n))
            }
        }
    }
}

/// One convolution of the networks at k = 128 and the kernels that may compute it.
struct ConvolutionBenchmark {
    let name: String
    /// Forward, input gradient, weight gradient; nil where the networks do not need it.
    let candidates: (Bench) -> [Candidate?]
}

/// The size of the input in a row's name: `32`, or `2x32` for two images.
private func size(_ images: Int, _ side: Int) -> String { images == 1 ? "\(side)" : "\(images)x\(side)" }

/// - Parameters:
///   - side: height and width of the input.
private func winograd3x3(
    _ label: String, images: Int = 1, side: Int, _ inputs: Int, _ outputs: Int, padding: Padding = Padding(1),
    learns: Bool = true
) -> ConvolutionBenchmark {
    let name = "3x3 \(inputs)->\(outputs) @\(size(images, side)) \(padding.mode) \(label)"
    return ConvolutionBenchmark(name: name) { bench in
        let workspace = bench.workspace
        let x = bench.tensor(side, side, inputs, images: images)
        let y = bench.tensor(side, side, outputs, images: images)
        let weight = bench.random(9 * inputs * outputs)
        let flops = 2.0 * 9 * Double(images * side * side * inputs * outputs)
        return [
            Candidate("forward", flops: flops, threads: workspace.pool.threads) {
                ConvolutionMethod.winograd3x3.forward(
                    input: x, padding: padding, weight: weight, output: y, in: workspace)
            },
            Candidate("inputGradient", flops: flops, threads: workspace.pool.threads) {
                ConvolutionMethod.winograd3x3.inputGradient(
                    dOutput: y, weight: weight, padding: padding, dInput: x, in: workspace)
            },
            learns
                ? Candidate("weightGradient", flops: flops, threads: workspace.pool.threads) {
                    ConvolutionMethod.winograd3x3.weightGradient(
                        input: x, padding: padding, dOutput: y, dWeight: weight, in: workspace)
                } : nil,
        ]
    }
}

/// One row of the table for kernels of any kernelSize and stride.
///
/// - Parameters:
///   - side: height and width of the input, `outputSide` of the output.
private func row(
    _ name: String, images: Int = 1, side: Int, outputSide: Int, kernelSize: Int, _ inputs: Int, _ outputs: Int,
    forward: @escaping (Tensor, UnsafeMutablePointer<Float>, Tensor, Workspace) -> Void,
    inputGradient: @escaping (Tensor, UnsafeMutablePointer<Float>, Tensor, Workspace) -> Void,
    weightGradient: @escaping (Tensor, Tensor, UnsafeMutablePointer<Float>, Workspace) -> Void
) -> ConvolutionBenchmark {
    ConvolutionBenchmark(name: name) { bench in
        let workspace = bench.workspace
        let x = bench.tensor(side, side, inputs, images: images)
        let y = bench.tensor(outputSide, outputSide, outputs, images: images)
        let weight = bench.random(kernelSize * kernelSize * inputs * outputs)
        let flops = 2 * Double(images * outputSide * outputSide * kernelSize * kernelSize) * Double(inputs * outputs)
        return [
            Candidate("forward", flops: flops, threads: workspace.pool.threads) { forward(x, weight, y, workspace) },
            Candidate("inputGradient", flops: flops, threads: workspace.pool.threads) {
                inputGradient(y, weight, x, workspace)
            },
            Candidate("weightGradient", flops: flops, threads: workspace.pool.threads) {
                weightGradient(x, y, weight, workspace)
            },
        ]
    }
}

private func winograd4x4Stride2(images: Int = 1, side: Int, _ inputs: Int, _ outputs: Int) -> ConvolutionBenchmark {
    row(
        "4x4 s2 \(inputs)->\(outputs) @\(size(images, side))", images: images, side: side, outputSide: side / 2,
        kernelSize: 4, inputs, outputs,
        forward: {
            ConvolutionMethod.winograd4x4Stride2.forward(input: $0, padding: Padding(1), weight: $1, output: $2, in: $3)
        },
        inputGradient: {
            ConvolutionMethod.winograd4x4Stride2.inputGradient(
                dOutput: $0, weight: $1, padding: Padding(1), dInput: $2, in: $3)
        },
        weightGradient: {
            ConvolutionMethod.winograd4x4Stride2.weightGradient(
                input: $0, padding: Padding(1), dOutput: $1, dWeight: $2, in: $3)
        })
}

private func winograd4x4(images: Int = 1, side: Int, _ inputs: Int, _ outputs: Int) -> ConvolutionBenchmark {
    row(
        "4x4 s1 \(inputs)->\(outputs) @\(size(images, side))", images: images, side: side, outputSide: side - 1,
        kernelSize: 4, inputs, outputs,
        forward: {
            ConvolutionMethod.winograd4x4.forward(input: $0, padding: Padding(1), weight: $1, output: $2, in: $3)
        },
        inputGradient: {
            ConvolutionMethod.winograd4x4.inputGradient(
                dOutput: $0, weight: $1, padding: Padding(1), dInput: $2, in: $3)
        },
        weightGradient: {
            ConvolutionMethod.winograd4x4.weightGradient(
                input: $0, padding: Padding(1), dOutput: $1, dWeight: $2, in: $3)
        })
}

private func winograd3x3Stride2(side: Int, _ inputs: Int, _ outputs: Int) -> ConvolutionBenchmark {
    row(
        "3x3 s2 \(inputs)->\(outputs) @\(side)", side: side, outputSide: side / 2, kernelSize: 3, inputs, outputs,
        forward: {
            ConvolutionMethod.winograd3x3Stride2.forward(input: $0, padding: Padding(1), weight: $1, output: $2, in: $3)
        },
        inputGradient: {
            ConvolutionMethod.winograd3x3Stride2.inputGradient(
                dOutput: $0, weight: $1, padding: Padding(1), dInput: $2, in: $3)
        },
        weightGradient: {
            ConvolutionMethod.winograd3x3Stride2.weightGradient(
                input: $0, padding: Padding(1), dOutput: $1, dWeight: $2, in: $3)
        })
}

/// A transposed convolution, the adjoint of `winograd3x3Stride2`: its forward is that one's input gradient.
private func transposed3x3(side: Int, _ inputs: Int, _ outputs: Int) -> ConvolutionBenchmark {
    ConvolutionBenchmark(name: "3x3 transposed \(inputs)->\(outputs) @\(side)") { bench in
        let workspace = bench.workspace
        let x = bench.tensor(side, side, inputs)
        let y = bench.tensor(2 * side, 2 * side, outputs)
        let weight = bench.random(9 * inputs * outputs)
        let flops = 2.0 * 9 * Double(side * side * inputs * outputs)
        return [
            Candidate("forward", flops: flops, threads: workspace.pool.threads) {
                ConvolutionMethod.winograd3x3Stride2.inputGradient(
                    dOutput: x, weight: weight, padding: Padding(1), dInput: y, in: workspace)
            },
            Candidate("inputGradient", flops: flops, threads: workspace.pool.threads) {
                ConvolutionMethod.winograd3x3Stride2.forward(
                    input: y, padding: Padding(1), weight: weight, output: x, in: workspace)
            },
            Candidate("weightGradient", flops: flops, threads: workspace.pool.threads) {
                ConvolutionMethod.winograd3x3Stride2.weightGradient(
                    input: y, padding: Padding(1), dOutput: x, dWeight: weight, in: workspace)
            },
        ]
    }
}

private func fewInputs(
    _ label: String, side: Int, kernelSize: Int, stride: Int = 1, padding: Padding, outputs: Int
) -> ConvolutionBenchmark {
    row(
        "\(kernelSize)x\(kernelSize)\(stride > 1 ? " s\(stride)" : "") 3->\(outputs) @\(side) \(label)", side: side,
        outputSide: side / stride, kernelSize: kernelSize, 3, outputs,
        forward: {
            ConvolutionMethod.fewInputs(kernelSize: kernelSize, stride: stride).forward(
                input: $0, padding: padding, weight: $1, output: $2, in: $3)
        },
        inputGradient: {
            ConvolutionMethod.fewInputs(kernelSize: kernelSize, stride: stride).inputGradient(
                dOutput: $0, weight: $1, padding: Padding(padding.amount),
                dInput: $2,
                in: $3)
        },
        weightGradient: {
            ConvolutionMethod.fewInputs(kernelSize: kernelSize, stride: stride).weightGradient(
                input: $0, padding: padding, dOutput: $1, dWeight: $2, in: $3)
        })
}

private func fewOutputs(_ label: String, side: Int, kernelSize: Int, padding: Padding, inputs: Int)
    -> ConvolutionBenchmark
{
    row(
        "\(kernelSize)x\(kernelSize) \(inputs)->3 @\(side) \(label)", side: side, outputSide: side,
        kernelSize: kernelSize, inputs, 3,
        forward: {
            ConvolutionMethod.fewOutputs(kernelSize: kernelSize).forward(
                input: $0, padding: padding, weight: $1, output: $2, in: $3)
        },
        inputGradient: {
            ConvolutionMethod.fewOutputs(kernelSize: kernelSize).inputGradient(
                dOutput: $0, weight: $1, padding: padding, dInput: $2, in: $3)
        },
        weightGradient: {
            ConvolutionMethod.fewOutputs(kernelSize: kernelSize).weightGradient(
                input: $0, padding: padding, dOutput: $1, dWeight: $2, in: $3)
        })
}

extension ConvolutionBenchmark {
    static var table: [ConvolutionBenchmark] {
        [
            winograd3x3("block", side: 32, 256, 256, padding: Padding(1, .reflect)),
            winograd3x3("widen", side: 32, 256, 512),
            winograd3x3("conv1_2", side: 256, 64, 64, learns: false),
            winograd3x3("conv2_1", side: 128, 64, 128, learns: false),
            winograd3x3("conv2_2", side: 128, 128, 128, learns: false),
            winograd3x3("conv3_1", side: 64, 128, 256, learns: false),
            winograd3x3("conv3_2", side: 64, 256, 256, learns: false),
            winograd3x3("conv4_1", side: 32, 256, 512, learns: false),
            winograd3x3("conv4_2", side: 32, 512, 512, learns: false),
            winograd3x3("conv5_1", side: 16, 512, 512, learns: false),
            winograd3x3("conv3_2", images: 2, side: 64, 256, 256, learns: false),
            winograd3x3("conv4_1", images: 2, side: 32, 256, 512, learns: false),
            winograd3x3("conv4_2", images: 2, side: 32, 512, 512, learns: false),
            winograd3x3("conv5_1", images: 2, side: 16, 512, 512, learns: false),
            fewInputs("head", side: 128, kernelSize: 7, padding: Padding(3, .reflect), outputs: 64),
            fewOutputs("tail", side: 256, kernelSize: 7, padding: Padding(3, .reflect), inputs: 64),
            fewInputs("conv1_1", side: 256, kernelSize: 3, padding: Padding(1), outputs: 64),
            fewInputs("D first", side: 256, kernelSize: 4, stride: 2, padding: Padding(1), outputs: 64),
            winograd4x4Stride2(side: 128, 64, 128),
            winograd4x4Stride2(side: 64, 128, 256),
            winograd4x4Stride2(side: 32, 256, 512),
            winograd4x4(side: 16, 512, 512),
            winograd4x4Stride2(images: 2, side: 128, 64, 128),
            winograd4x4Stride2(images: 2, side: 64, 128, 256),
            winograd4x4Stride2(images: 2, side: 32, 256, 512),
            winograd4x4(images: 2, side: 16, 512, 512),
            winograd3x3Stride2(side: 128, 64, 128),
            winograd3x3Stride2(side: 64, 128, 256),
            transposed3x3(side: 32, 512, 256),
            transposed3x3(side: 64, 256, 128),
            transposed3x3(side: 128, 128, 64),
            winograd3x3("small", side: 32, 32, 32, padding: Padding(1, .reflect)),
            winograd3x3("small", side: 32, 24, 24, padding: Padding(1, .reflect)),
            winograd3x3("small", side: 16, 12, 12, padding: Padding(1, .reflect)),
        ]
    }
}
