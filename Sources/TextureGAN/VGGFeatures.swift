import Foundation
import NNCore

/// A frozen VGG up to its last tapped layer, and the style loss on its Gram matrices.
///
/// Taps are relu1_1 ... relu{taps}_1. Nothing behind the last tap is computed, no weight gradients exist, and a target
/// image is only run forward.
public struct VGGFeatures: Sendable {
    private enum Layer: Sendable {
        case convolution(Convolution, tap: Int?)
        case pool
    }

    private let layers: [Layer]
    private let tapChannels: [Int]
    private let input: FeatureInput

    /// - Parameter taps: 1...5.
    /// - Throws: `TrainingError` if the file lacks a tensor or has one of another shape.
    public init(
        _ network: FeatureNetwork, taps: Int, input: FeatureInput, weights: FeatureWeights
    ) throws(TrainingError) {
        self.input = input
        var file: Safetensors?
        var stream: RandomStream?
        do {
            switch weights {
            case .file(let url): file = try Safetensors(contentsOf: url)
            case .random(let seed): stream = RandomStream(seed: seed, purpose: 0)
            }
            var channels = 3
            var layers: [Layer] = []
            var tapChannels: [Int] = []
            for layer in network.layers(taps: taps) {
                guard let (name, block) = layer else {
                    layers.append(.pool)
                    continue
                }
                // Widths are read from the file: a fixture may carry a thin VGG.
                let outputs = file?.entries["\(name).weight"]?.shape.first ?? min(64 << (block - 1), 512)
                let convolution = Convolution(
                    name, inputs: channels, outputs: outputs, kernel: 3, padding: Padding(1), bias: true,
                    trained: false)
                if let file {
                    for parameter in convolution.parameters {
                        parameter.load(
                            fileOrder: try file.floats(parameter.name, shape: parameter.layout.fileShape))
                    }
                } else {
                    let deviation = Float(2 / Double(9 * channels)).squareRoot()
                    convolution.weight.fillNormal(mean: 0, deviation: deviation, from: &stream!)
                }
                let isTap = name.hasSuffix("_1")
                layers.append(.convolution(convolution, tap: isTap ? tapChannels.count : nil))
                if isTap { tapChannels.append(outputs) }
                channels = outputs
            }
            self.layers = layers
            self.tapChannels = tapChannels
        } catch {
            let command = network == .vgg16 ? "scripts/setup" : "texloom weights --convert"
            throw TrainingError(
                .badWeights, "feature weights: \(error); '\(command)' makes them again", isRetryable: true)
        }
    }

    /// The Gram matrices of an image at each tap, in the workspace's arena.
    public struct Grams {
        fileprivate let matrices: [UnsafeMutablePointer<Float>]
    }

    /// The Gram matrices of a target. - Parameter image: `[h, w, 3]` in [-1, 1].
    public func grams(of image: Tensor, in workspace: Workspace) -> Grams {
        let grams = emptyGrams(in: workspace)
        workspace.arena.scoped {
            var features = preprocessed(image, in: workspace)
            for layer in layers {
                features = forward(layer, features, grams, in: workspace)
            }
        }
        return grams
    }

    /// The style loss of an image against a target's Gram matrices, and its gradient.
    ///
    /// The sum over the taps of `weight * 1000 / C^2` times the mean over the C x C entries of the squared difference.
    /// - Parameter gradient: of the loss in the image; overwritten.
    public func styleLoss(
        of image: Tensor, target: Grams, weight: Float, gradient: Tensor, in workspace: Workspace,
        afterForward: () -> Void = {}
    ) -> Double {
        workspace.arena.scoped {
            let grams = emptyGrams(in: workspace)
            var outputs: [Tensor] = [preprocessed(image, in: workspace)]
            for layer in layers {
                outputs.append(forward(layer, outputs[outputs.count - 1], grams, in: workspace))
            }
            var loss = 0.0
            for (tap, channels) in tapChannels.enumerated() {
                let scale = 1000 * weight / Float(channels * channels)
                // The matrix is replaced by its gradient.
                loss +=
                    Double(scale)
                    * Loss.meanSquare(
                        grams.matrices[tap], target.matrices[tap], count: channels * channels, weight: scale,
                        gradient: grams.matrices[tap], in: workspace)
            }
            afterForward()
            backward(outputs, grams, gradient, in: workspace)
            return loss
        }
    }

    /// `outputs[i]` is the input of layer i; the last one is the last tap.
    private func backward(_ outputs: [Tensor], _ dGrams: Grams, _ gradient: Tensor, in workspace: Workspace) {
        // Two buffers that the gradient moves between, each as large as the largest feature map.
        let largest = outputs.map(\.count).max()!
        var here = workspace.arena.floats(largest)
        var there = workspace.arena.floats(largest)
        func view(_ memory: UnsafeMutablePointer<Float>, like tensor: Tensor) -> Tensor {
            Tensor(memory, height: tensor.height, width: tensor.width, channels: tensor.channels)
        }
        for (index, layer) in layers.enumerated().reversed() {
            let output = outputs[index + 1]
            let dOutput = view(here, like: output)
            let dInput = view(there, like: outputs[index])
            switch layer {
            case .pool:
                MaxPool.backward(input: outputs[index], dOutput: dOutput, dInput: dInput, in: workspace)
            case .convolution(let convolution, let tap):
                if let tap {
                    GramMatrix.backward(
                        output, dGram: dGrams.matrices[tap], into: dOutput, accumulate: index < layers.count - 1,
                        in: workspace)
                }
                convolution.inputGradient(dOutput: dOutput, rectified: output, dInput: dInput, in: workspace)
            }
            swap(&here, &there)
        }
        let scale = input.scale
        for pixel in 0..<gradient.pixels {
            for channel in 0..<3 {
                gradient.data[pixel * 3 + channel] =
                    here[pixel * 3 + input.source(of: channel)] * scale[channel]
            }
        }
    }

    private func emptyGrams(in workspace: Workspace) -> Grams {
        Grams(matrices: tapChannels.map { workspace.arena.floats($0 * $0) })
    }

    private func forward(_ layer: Layer, _ features: Tensor, _ grams: Grams, in workspace: Workspace) -> Tensor {
        switch layer {
        case .pool:
            return MaxPool.forward(features, in: workspace)
        case .convolution(let convolution, let tap):
            let output = convolution.forward(features, relu: true, in: workspace)
            if let tap { GramMatrix.forward(output, into: grams.matrices[tap], in: workspace) }
            return output
        }
    }

    private func preprocessed(_ image: Tensor, in workspace: Workspace) -> Tensor {
        let result = Tensor(in: workspace.arena, like: image)
        let (scale, shift) = (input.scale, input.shift)
        for pixel in 0..<image.pixels {
            for channel in 0..<3 {
                result.data[pixel * 3 + input.source(of: channel)] =
                    image.data[pixel * 3 + channel] * scale[channel] + shift[channel]
            }
        }
        return result
    }
}

extension FeatureInput {
    /// Per RGB channel: what a value in [-1, 1] is multiplied by.
    var scale: [Float] {
        switch self {
        case .raw: [1, 1, 1]
        case .caffe: [127.5, 127.5, 127.5]
        case .torchvision: [0.5 / 0.229, 0.5 / 0.224, 0.5 / 0.225]
        }
    }

    /// Per RGB channel: what is added then.
    var shift: [Float] {
        switch self {
        case .raw: [0, 0, 0]
        case .caffe: [127.5 - 123.68, 127.5 - 116.779, 127.5 - 103.939]
        case .torchvision: [(0.5 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0.5 - 0.406) / 0.225]
        }
    }

    /// Where RGB channel `channel` lies in the network's input.
    func source(of channel: Int) -> Int { self == .caffe ? 2 - channel : channel }
}
