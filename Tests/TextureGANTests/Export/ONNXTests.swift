import Foundation
import Imaging
import NNCore
import Testing

@testable import TextureGAN

/// The written model, read and run by code of its own, against texloom's expansion.
@Suite struct ONNXTests {
    /// A generator's variants: the layers that differ.
    enum Variant: CaseIterable {
        case plain, transposed, mirrored, batch, instance

        var recipe: Recipe {
            var recipe = TinyRun.recipe
            recipe.generatorWidth = 4
            recipe.residualBlocks = 2
            recipe.norm = self == .batch || self == .mirrored ? .batch : self == .instance ? .instance : .without
            recipe.upsample = self == .plain || self == .mirrored ? .nearest : .transposed
            recipe.padding = self == .mirrored ? .reflect : self == .transposed ? .replicate : .zero
            return recipe
        }
    }

    /// With parameters that all differ, and a picture with contrast.
    private static func generator(_ variant: Variant) -> Generator {
        let generator = Generator(variant.recipe, initialisedFrom: RandomStream(seed: 4, purpose: 1))
        var stream = RandomStream(seed: 9, purpose: 2)
        for parameter in generator.parameters {
            switch parameter.name {
            case "tail.weight": for index in 0..<parameter.count { parameter.value[index] *= 8 }
            case let name where name.hasSuffix("running_mean"):
                parameter.fillNormal(mean: 0, deviation: 0.1, from: &stream)
            case let name where name.hasSuffix("running_var"):
                for index in 0..<parameter.count { parameter.value[index] = 0.02 + 0.02 * Float(index % 5) }
            case let name where name.contains("conv2.weight"):
                parameter.fillNormal(mean: 0, deviation: 0.2, from: &stream)
            case let name:
                guard case .vector = parameter.layout else { continue }
                // A norm's scale, or a shift or a bias.
                parameter.fillNormal(mean: name.hasSuffix(".weight") ? 1 : 0, deviation: 0.2, from: &stream)
            }
        }
        return generator
    }

    private static let image = TinyRun.image(width: 28, height: 20)

    private static func input(_ image: Image) -> ONNXModel.Values {
        ONNXModel.Values.filled([1, 3, image.height, image.width]) { channel, y, x in
            Float(image.pixels[(y * image.width + x) * 3 + channel]) / 127.5 - 1
        }
    }

    private static func picture(_ values: ONNXModel.Values) -> Image {
        let (height, width) = (values.shape[2], values.shape[3])
        return Image(
            width: width, height: height,
            pixels: (0..<3 * height * width).map { index in
                let value = values[index % 3, index / 3 / width, index / 3 % width]
                return UInt8(((value + 1) * 127.5).rounded().clamped(0, 255))
            })
    }

    private static func model(_ generator: Generator, _ statistics: NormStatistics = .image) throws -> ONNXModel {
        try ONNXModel(generator.onnx(statistics: statistics.norms, metadata: [("seed", "7")]))
    }

    private static func largestDifference(_ one: Image, _ other: Image) -> Int {
        guard one.width == other.width, one.height == other.height else { return 256 }
        return zip(one.pixels, other.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 256
    }

    @Test(
        "The model makes the picture that texloom makes", arguments: Variant.allCases, NormStatistics.allCases)
    func theModelMakesThePictureThatTexloomMakes(_ variant: Variant, _ statistics: NormStatistics) throws {
        let generator = Self.generator(variant)
        let model = try Self.model(generator, statistics)
        let expected = Expansion.whole(
            Self.image, with: generator, statistics: statistics.norms, in: Workspace(threads: 1))
        #expect(Set(expected.pixels).count > 100)
        let result = try model.run(Self.input(Self.image))
        #expect(result.shape == [1, 3, 40, 56])
        #expect(Self.largestDifference(Self.picture(result), expected) <= 1)
        let norms = Set(model.nodes.map(\.operation)).intersection(["InstanceNormalization", "BatchNormalization"])
        let wanted: Set<String> =
            switch variant {
            case .plain, .transposed: []
            case .batch, .mirrored: [statistics == .image ? "InstanceNormalization" : "BatchNormalization"]
            case .instance: ["InstanceNormalization"]
            }
        #expect(norms == wanted)
    }

    /// As docs/onnx.md shows it.
    @Test func anImageThatRepeatsIsWrappedByTheMarginOfTheMetadata() throws {
        let generator = Self.generator(.plain)
        let model = try Self.model(generator)
        let margin = try #require(Int(model.metadata["margin"] ?? ""))
        let wrapped = Self.image.window(x: -margin, y: -margin, width: 28 + 2 * margin, height: 20 + 2 * margin)
        let result = Self.picture(try model.run(Self.input(wrapped)))
            .cropped(x: 2 * margin, y: 2 * margin, width: 56, height: 40)
        let expected = try Expansion.seamless(
            Self.image, along: .both, with: generator, statistics: .image, memoryLimit: 1 << 30,
            in: Workspace(threads: 1))
        #expect(Self.largestDifference(result, expected) <= 1)
    }

    @Test func theModelSaysWhatItIs() throws {
        let model = try Self.model(Self.generator(.plain))
        #expect(model.irVersion == 8 && model.opset == 15)
        typealias Side = ONNXModel.Side
        let first = [Side(count: 1, name: ""), Side(count: 3, name: "")]
        #expect(
            model.inputs == ["image": first + [Side(count: -1, name: "height"), Side(count: -1, name: "width")]])
        #expect(
            model.outputs == [
                "expanded": first + [Side(count: -1, name: "2*height"), Side(count: -1, name: "2*width")]
            ])
        #expect(model.metadata["scale"] == "2" && model.metadata["multiple"] == "4" && model.metadata["seed"] == "7")
        #expect(model.metadata["layout"] == "NCHW RGB" && model.metadata["range"] == "[-1, 1]")
    }

    /// What the comparison must not let through.
    enum Fault: CaseIterable {
        case pads, kernelTurned, channelsTurned, scaleAndShift, spreadPads, meanAndVariance, mirroredPads

        var variant: Variant {
            switch self {
            case .pads, .kernelTurned, .channelsTurned: .plain
            case .spreadPads: .transposed
            case .scaleAndShift, .meanAndVariance: .batch
            case .mirroredPads: .mirrored
            }
        }

        func spoil(_ model: inout ONNXModel) {
            func first(_ operation: String) -> Int { model.nodes.firstIndex { $0.operation == operation } ?? 0 }
            switch self {
            case .pads: model.nodes[first("Conv") + 2].attributes["pads"] = .integers([0, 0, 2, 2])
            case .spreadPads: model.nodes[first("ConvTranspose")].attributes["pads"] = .integers([0, 0, 2, 2])
            case .kernelTurned: turn("head.weight", &model) { [$0[0], $0[1], $0[3], $0[2]] }
            case .channelsTurned: turn("blocks.0.conv1.weight", &model) { [$0[1], $0[0], $0[2], $0[3]] }
            case .scaleAndShift: swap("head_bn.weight", "head_bn.bias", &model)
            case .meanAndVariance: swap("down_bn.0.running_mean", "down_bn.0.running_var", &model)
            case .mirroredPads: model.nodes[first("Pad")].attributes["mode"] = .text("edge")
            }
        }

        private func swap(_ one: String, _ other: String, _ model: inout ONNXModel) {
            (model.constants[one], model.constants[other]) = (model.constants[other], model.constants[one])
        }

        /// - Parameter turned: the source of each index. Both sides that change places have the same length.
        private func turn(_ name: String, _ model: inout ONNXModel, _ turned: ([Int]) -> [Int]) {
            guard let weight = model.constants[name] else { return }
            let shape = weight.shape
            func place(_ index: [Int]) -> Int {
                ((index[0] * shape[1] + index[1]) * shape[2] + index[2]) * shape[3] + index[3]
            }
            for a in 0..<shape[0] {
                for b in 0..<shape[1] {
                    for y in 0..<shape[2] {
                        for x in 0..<shape[3] {
                            let index = [a, b, y, x]
                            model.constants[name]?.values[place(index)] = weight.values[place(turned(index))]
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: Fault.allCases)
    func aFaultOfTheModelIsSeen(_ fault: Fault) throws {
        let generator = Self.generator(fault.variant)
        var model = try Self.model(generator, .running)
        fault.spoil(&model)
        let expected = Expansion.whole(
            Self.image, with: generator, statistics: .running, in: Workspace(threads: 1))
        #expect(Self.largestDifference(Self.picture(try model.run(Self.input(Self.image))), expected) > 1)
    }
}

extension Float {
    fileprivate func clamped(_ low: Float, _ high: Float) -> Float { min(max(self, low), high) }
}
