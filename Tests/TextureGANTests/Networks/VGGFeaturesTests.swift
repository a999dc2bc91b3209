import Foundation
import NNCore
import Testing

@testable import TextureGAN

@Suite struct VGGFeaturesTests {
    private let workspace = Workspace(threads: 2, arena: Arena(reservedBytes: 4 << 30))

    private func image(_ height: Int, _ width: Int, seed: UInt64) -> Tensor {
        let tensor = Tensor(in: workspace.arena, height: height, width: width, channels: 3)
        _ = tensor.buffer.update(fromContentsOf: randomValues(tensor.count, seed: seed))
        return tensor
    }

    @Test func layersEndAtTheLastTap() {
        func names(_ network: FeatureNetwork, _ taps: Int) -> [String] {
            network.layers(taps: taps).map { $0?.name ?? "pool" }
        }
        #expect(names(.vgg19, 1) == ["conv1_1"])
        #expect(names(.vgg16, 2) == ["conv1_1", "conv1_2", "pool", "conv2_1"])
        let convolutions = { (network: FeatureNetwork) in names(network, 5).filter { $0 != "pool" } }
        #expect(convolutions(.vgg19).count == 13 && convolutions(.vgg16).count == 11)
        #expect(convolutions(.vgg19).last == "conv5_1" && names(.vgg19, 5).filter { $0 == "pool" }.count == 4)
    }

    @Test("Input conventions are the published ones", arguments: FeatureInput.allCases)
    func inputConventions(_ input: FeatureInput) {
        // An RGB pixel in 0...255, and the network's input for it in each convention.
        let pixel = [200.0, 100.0, 30.0]
        let expected: [Double] =
            switch input {
            case .raw: pixel.map { $0 / 127.5 - 1 }
            case .caffe: [30 - 103.939, 100 - 116.779, 200 - 123.68]
            case .torchvision:
                [
                    (200 / 255 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, (30 / 255 - 0.406) / 0.225,
                ]
            }
        for channel in 0..<3 {
            let value = Float(pixel[channel] / 127.5 - 1)
            let fed = value * input.scale[channel] + input.shift[channel]
            #expect(abs(Double(fed) - expected[input.source(of: channel)]) < 1e-4)
        }
    }

    @Test("The gradient of the style loss passes differences for every convention", arguments: FeatureInput.allCases)
    func styleGradientPassesDifferences(_ input: FeatureInput) throws {
        for (network, taps) in [(FeatureNetwork.vgg19, 5), (.vgg16, 3), (.vgg16, 1)] {
            let features = try VGGFeatures(network, taps: taps, input: input, weights: TinyRun.features)
            let target = image(33, 38, seed: 50)
            let own = image(33, 38, seed: 51)
            let gradient = Tensor(in: workspace.arena, like: own)
            gradient.buffer.update(repeating: .nan)
            func loss(into gradient: Tensor) -> Double {
                features.styleLoss(of: own, target: target, weight: 0.3, gradient: gradient, in: workspace)
            }
            let value = loss(into: gradient)
            #expect(value > 0)
            let slope = Array(gradient.buffer)
            let scratch = Tensor(in: workspace.arena, like: own)
            let claim = GradientClaim(name: "\(network) with \(taps) taps", values: own.data, gradient: slope)
            for (name, error) in differenceErrors([claim], step: 2e-4, { loss(into: scratch) }) {
                #expect(error < 0.02, "\(name)")
            }
        }
    }

    @Test func theLossOfAnImageAgainstItselfIsZeroAndItsWeightScalesIt() throws {
        let features = try VGGFeatures(.vgg19, taps: 3, input: .raw, weights: TinyRun.features)
        let (own, other) = (image(20, 24, seed: 52), image(20, 24, seed: 53))
        let gradient = Tensor(in: workspace.arena, like: own)
        let same = features.styleLoss(
            of: own, target: own, weight: 1, gradient: gradient, in: workspace)
        #expect(same == 0 && gradient.buffer.allSatisfy { $0 == 0 })
        let one = features.styleLoss(of: own, target: other, weight: 1, gradient: gradient, in: workspace)
        let slope = Array(gradient.buffer)
        let two = features.styleLoss(of: own, target: other, weight: 2, gradient: gradient, in: workspace)
        #expect(abs(two / one - 2) < 1e-6)
        #expect(zip(gradient.buffer, slope).allSatisfy { abs($0 - 2 * $1) <= 1e-5 * abs($1) + 1e-9 })
    }

    /// One tap of a thin VGG by hand: relu(conv(x)), Gram, 1000 / C^2 times the mean square.
    @Test func oneTapAgreesWithTheDefinition() throws {
        let file = try Safetensors(contentsOf: TinyRun.featuresFile.get())
        let weight = try file.floats("conv1_1.weight").map(Double.init)
        let bias = try file.floats("conv1_1.bias").map(Double.init)
        let channels = bias.count
        let (height, width) = (7, 9)
        func gram(_ image: Tensor) -> [Double] {
            var result = [Double](repeating: 0, count: channels * channels)
            for y in 0..<height {
                for x in 0..<width {
                    let features = (0..<channels).map { output in
                        var sum = bias[output]
                        for input in 0..<3 {
                            for tap in 0..<9 {
                                let (row, column) = (y + tap / 3 - 1, x + tap % 3 - 1)
                                guard row >= 0, column >= 0, row < height, column < width else { continue }
                                sum += weight[(output * 3 + input) * 9 + tap] * Double(image[row, column, input])
                            }
                        }
                        return max(sum, 0)
                    }
                    for a in 0..<channels {
                        for b in 0..<channels {
                            result[a * channels + b] += features[a] * features[b] / Double(height * width)
                        }
                    }
                }
            }
            return result
        }
        let (own, other) = (image(height, width, seed: 54), image(height, width, seed: 55))
        let squares = zip(gram(own), gram(other)).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let count = Double(channels * channels)
        let expected = 1000 / count * squares / count
        let features = try VGGFeatures(.vgg16, taps: 1, input: .raw, weights: TinyRun.features)
        let found = features.styleLoss(
            of: own, target: other, weight: 1,
            gradient: Tensor(in: workspace.arena, like: own), in: workspace)
        #expect(abs(found / expected - 1) < 1e-4)
    }

    @Test func weightsThatLackATensorOrHaveAnotherShapeAreRefused() throws {
        try TinyRun.inFolder { folder in
            let url = folder.appendingPathComponent("vgg16.safetensors")
            var writer = SafetensorsWriter(metadata: [:])
            writer.add("conv1_1.weight", shape: [2, 3, 3, 3]) { [Float](repeating: 0, count: 54) }
            try writer.write(to: url)
            let lacking = TinyRun.error { _ = try VGGFeatures(.vgg16, taps: 1, input: .raw, weights: .file(url)) }
            #expect(lacking?.code == .badWeights)
            #expect(lacking?.message.contains("vgg16.safetensors") == true)
            #expect(lacking?.message.contains("conv1_1.bias") == true)
            #expect(lacking?.message.contains("to make them again") == true)

            writer.add("conv1_1.bias", shape: [5]) { [Float](repeating: 0, count: 5) }
            try writer.write(to: url)
            let shape = TinyRun.error { _ = try VGGFeatures(.vgg16, taps: 1, input: .raw, weights: .file(url)) }
            #expect(shape?.message.contains("[5]") == true)

            // A file without data that claims a layer larger than any memory.
            writer = SafetensorsWriter(metadata: [:])
            writer.add("conv1_1.weight", shape: [1 << 50, 0, 3, 3]) { [] }
            writer.add("conv1_1.bias", shape: [0]) { [] }
            try writer.write(to: url)
            let huge = TinyRun.error { _ = try VGGFeatures(.vgg16, taps: 1, input: .raw, weights: .file(url)) }
            #expect(huge?.code == .badWeights && huge?.message.contains("[\(1 << 50), 0, 3, 3]") == true)

        }
    }

    /// As an error of the file system, they would count as a fault of the worker's own folder, which costs no attempt:
    /// the worker would take the same job again for ever.
    @Test func weightsThatCannotBeReadAreBadWeightsThatMayBeGoodElsewhere() throws {
        try TinyRun.inFolder { folder in
            // A folder in their place: root, too, cannot read that.
            for url in [folder, folder.appendingPathComponent("none.safetensors")] {
                let error = TinyRun.error { _ = try VGGFeatures(.vgg16, taps: 1, input: .raw, weights: .file(url)) }
                #expect(error?.code == .badWeights && error?.isRetryable == true)
                #expect(error?.message.contains("\(url.path): cannot be read: ") == true)
                #expect(error?.message.contains("make them again") == false)
            }
        }
    }

    @Test func randomFeaturesHaveVGGsWidthsAndFollowTheirSeed() throws {
        func loss(_ seed: UInt64) throws -> Double {
            let features = try VGGFeatures(.vgg16, taps: 1, input: .raw, weights: .random(seed: seed))
            return workspace.arena.scoped {
                let target = image(8, 8, seed: 56)
                let own = image(8, 8, seed: 57)
                return features.styleLoss(of: own, target: target, weight: 1, gradient: own, in: workspace)
            }
        }
        #expect(try loss(1) == loss(1))
        #expect(try loss(1) != loss(2))
    }
}
