import Foundation
import NNCore

/// A frozen VGG up to its last tapped layer, and the style loss on its Gram matrices.
///
/// Taps are relu1_1 ... relu{taps}_1. No layer after the last tap is computed, there are no weight gradients, and a
/// target image has no gradient.
public struct VGGFeatures: Sendable {
    private enum Layer: Sendable {
        case convolution(Convolution, tap: Int?)
        case pool
    }

    private let layers: [Layer]
    private let tapChannels: [Int]
    private let input: FeatureInput

    /// - Parameter taps: 1...5.
    /// - Throws: `TrainingError` if the file cannot be read, lacks a tensor or has one of another shape.
    public init(
        _ network: FeatureNetwork, taps: Int, input: FeatureInput, weights: FeatureWeights
    ) throws(TrainingError) {
        self.input = input
        var file: Safetensors?
        var stream: RandomStream?
        do throws(SafetensorsError) {
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
                // Fixtures carry thin networks. Values are read before the layer asks for memory: a file may claim any
                // shape.
                let width = file?.entries["\(name).weight"]?.shape.first ?? min(64 << (block - 1), 512)
                let weight = try file?.floats("\(name).weight", shape: [width, channels, 3, 3])
                let bias = try file?.floats("\(name).bias", shape: [width])
                let convolution = Convolution(
                    name, inputChannels: channels, outputChannels: width, kernelSize: 3, padding: Padding(1),
                    bias: true, trained: false)
                if let weight, let bias {
                    convolution.weight.load(fileOrder: weight)
                    convolution.bias?.load(fileOrder: bias)
                } else {
                    let deviation = Float(2 / Double(9 * channels)).squareRoot()
                    convolution.weight.fillNormal(mean: 0, deviation: deviation, from: &stream!)
                }
                let isTap = name.hasSuffix("_1")
                layers.append(.convolution(convolution, tap: isTap ? tapChannels.count : nil))
                if isTap { tapChannels.append(width) }
                channels = width
            }
            self.layers = layers
            self.tapChannels = tapChannels
        } catch {
            let command = network == .vgg16 ? "scripts/setup" : "texloom weights --convert"
            let advice = error.code == .malformed ? "; run '\(command)' to make them again" : ""
            // Unreadable or not, the fault is not in the run's folder, which fileSystem would say.
            throw TrainingError(.badWeights, "feature weights: \(error)\(advice)", isRetryable: true)
        }
    }

    /// The style loss of an image against a target, and its gradient.
    ///
    /// The sum over the taps of `weight * 1000 / C^2` times the mean over the C x C entries of the squared difference
    /// of the Gram matrices. Image and target pass the network as a batch, which prepares each layer's weights once.
    /// - Parameter gradient: of the loss in the image; overwritten, may be `image`.
    public func styleLoss(
        of image: Tensor, target: Tensor, weight: Float, gradient: Tensor, in workspace: Workspace,
        afterForward: () -> Void = {}
    ) -> Double {
        workspace.arena.scoped {
            // For each tap the image's Gram matrix, then the target's.
            let grams = workspace.arena.map(tapChannels) { workspace.arena.floats(2 * $0 * $0) }
            // The input of layer i is the i-th of these, the last tap the last.
            var features = ArenaArray<Tensor>(capacity: layers.count + 1, in: workspace.arena)
            features.append(preprocessed(image, target, in: workspace))
            for layer in layers {
                features.append(forward(layer, features[features.count - 1], grams, in: workspace))
            }
            var loss = 0.0
            for (tap, channels) in tapChannels.enumerated() {
                let gram = grams[tap]
                let scale = 1000 * weight / Float(channels * channels)
                // The image's matrix is replaced by its gradient.
                loss +=
                    Double(scale)
                    * Loss.meanSquare(
                        gram, gram + channels * channels, count: channels * channels, weight: scale, gradient: gram,
                        in: workspace)
            }
            afterForward()
            backward(features, dGrams: grams, into: gradient, in: workspace)
            return loss
        }
    }

    /// The same for the first three channels of images with more; the gradient of the others is zero.
    func styleLoss(
        ofAlbedoIn image: Tensor, target: Tensor, weight: Float, gradient: Tensor, in workspace: Workspace,
        afterForward: () -> Void = {}
    ) -> Double {
        guard image.channels > 3 else {
            return styleLoss(
                of: image, target: target, weight: weight, gradient: gradient, in: workspace, afterForward: afterForward
            )
        }
        return workspace.arena.scoped {
            let albedo = image.channels(0..<3, in: workspace.arena)
            let loss = styleLoss(
                of: albedo, target: target.channels(0..<3, in: workspace.arena), weight: weight, gradient: albedo,
                in: workspace, afterForward: afterForward)
            gradient.buffer.update(repeating: 0)
            for pixel in 0..<albedo.pixels {
                (gradient.data + pixel * gradient.channels).update(from: albedo.data + 3 * pixel, count: 3)
            }
            return loss
        }
    }

    /// The Gram matrices of an image at the first taps, `[C, C]` each.
    /// - Parameter image: in [-1, 1].
    func grams(of image: Tensor, maxTaps: Int, in workspace: Workspace) -> [[Float]] {
        workspace.arena.scoped {
            let sizes = tapChannels.prefix(maxTaps).map { $0 * $0 }
            let grams = workspace.arena.map(Array(sizes)) { workspace.arena.floats($0) }
            var features = Tensor(in: workspace.arena, like: image)
            features.data.update(from: image.data, count: image.count)
            preprocess(features)
            for layer in layers {
                features = forward(layer, features, grams, in: workspace)
                if case .convolution(_, sizes.count - 1) = layer { break }
            }
            return sizes.indices.map { Array(UnsafeBufferPointer(start: grams[$0], count: sizes[$0])) }
        }
    }

    private func forward(
        _ layer: Layer, _ input: Tensor, _ grams: ArenaArray<UnsafeMutablePointer<Float>>, in workspace: Workspace
    ) -> Tensor {
        switch layer {
        case .pool:
            return MaxPool.forward(input, in: workspace)
        case .convolution(let convolution, let tap):
            let output = convolution.forward(input, .relu, in: workspace)
            if let tap {
                for image in 0..<output.images {
                    GramMatrix.forward(
                        output.image(image), into: grams[tap] + image * output.channels * output.channels,
                        in: workspace)
                }
            }
            return output
        }
    }

    /// The gradients of the image's features overwrite the target's features, which are no longer needed.
    private func backward(
        _ features: ArenaArray<Tensor>, dGrams: ArenaArray<UnsafeMutablePointer<Float>>, into gradient: Tensor,
        in workspace: Workspace
    ) {
        for index in layers.indices.reversed() {
            let (input, dInput) = (features[index].image(0), features[index].image(1))
            let (output, dOutput) = (features[index + 1].image(0), features[index + 1].image(1))
            switch layers[index] {
            case .pool:
                MaxPool.backward(input: input, dOutput: dOutput, dInput: dInput, in: workspace)
            case .convolution(let convolution, let tap):
                if let tap {
                    GramMatrix.backward(
                        output, dGram: dGrams[tap], into: dOutput, accumulate: index < layers.count - 1,
                        in: workspace)
                }
                convolution.inputGradient(dOutput: dOutput, rectified: output, dInput: dInput, in: workspace)
            }
        }
        let scale = input.scale
        let dInput = features[0].image(1).data
        for pixel in 0..<gradient.pixels {
            for channel in 0..<3 {
                gradient.data[pixel * 3 + channel] =
                    dInput[pixel * 3 + input.source(of: channel)] * scale[channel]
            }
        }
    }

    private func preprocessed(_ image: Tensor, _ target: Tensor, in workspace: Workspace) -> Tensor {
        let pair = Tensor(in: workspace.arena, image, target)
        preprocess(pair)
        return pair
    }

    /// Turns values in [-1, 1] into the network's input, in place.
    private func preprocess(_ images: Tensor) {
        let (scale, shift) = (input.scale, input.shift)
        for pixel in 0..<images.pixels {
            let values = images.data + pixel * 3
            let rgb = (values[0], values[1], values[2])
            values[input.source(of: 0)] = rgb.0 * scale[0] + shift[0]
            values[input.source(of: 1)] = rgb.1 * scale[1] + shift[1]
            values[input.source(of: 2)] = rgb.2 * scale[2] + shift[2]
        }
    }
}

extension FeatureInput {
    /// The factor of each RGB channel for values in [-1, 1].
    var scale: SIMD3<Float> {
        switch self {
        case .raw: SIMD3(1, 1, 1)
        case .caffe: SIMD3(127.5, 127.5, 127.5)
        case .torchvision: SIMD3(0.5 / 0.229, 0.5 / 0.224, 0.5 / 0.225)
        }
    }

    /// The addend of each RGB channel after the factor.
    var shift: SIMD3<Float> {
        switch self {
        case .raw: SIMD3(0, 0, 0)
        case .caffe: SIMD3(127.5 - 123.68, 127.5 - 116.779, 127.5 - 103.939)
        case .torchvision: SIMD3((0.5 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0.5 - 0.406) / 0.225)
        }
    }

    /// The position of an RGB channel in the network's input.
    func source(of channel: Int) -> Int { self == .caffe ? 2 - channel : channel }
}
