import Foundation
import Imaging
import NNCore
import Testing

@testable import TextureGAN

/// The smallest training run that has every part of the method.
enum TinyRun {
    static var recipe: Recipe {
        var recipe = Recipe()
        recipe.name = "tiny"
        recipe.seed = 7
        recipe.k = 12
        recipe.generatorWidth = 3
        recipe.residualBlocks = 1
        recipe.discriminatorWidth = 3
        recipe.discriminatorLayers = 2
        recipe.style = .vgg16
        recipe.styleTaps = 2
        recipe.iterations = 40
        recipe.metricsEvery = 1
        recipe.snapshotEvery = 4
        recipe.checkpointEvery = 6
        return recipe
    }

    /// Stripes that get wider to the right.
    static func image(width: Int = 31, height: Int = 27, seed: Int = 0) -> Image {
        var pixels: [UInt8] = []
        for y in 0..<height {
            for x in 0..<width {
                for channel in 0..<3 {
                    let wave = sin(Double(x + seed) / (2 + Double(x) / 10) + Double(y * (channel + 1)) / 9)
                    pixels.append(UInt8(128 + 100 * wave))
                }
            }
        }
        return Image(width: width, height: height, pixels: pixels)
    }

    static func exemplar() -> Exemplar { Exemplar(image(), name: "stripes.png") }

    /// A thin VGG with random filters, as a weights file that training reads.
    static var features: FeatureWeights { get throws { .file(try featuresFile.get()) } }

    /// Each user has one. Processes replace it by the same bytes, whole, while others read it.
    static let featuresFile = Result<URL, any Error> {
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("texloom-tests-\(getuid())-thin-vgg.safetensors")
        var writer = SafetensorsWriter(metadata: [:])
        var stream = RandomStream(seed: 99, purpose: 0)
        var channels = 3
        for case let (name, block)? in FeatureNetwork.vgg19.layers(taps: 5) {
            let outputs = 3 + block
            let deviation = Float(2 / Double(9 * channels)).squareRoot()
            let weights = (0..<outputs * channels * 9).map { _ in deviation * stream.normal() }
            let biases = (0..<outputs).map { _ in 0.1 * stream.normal() }
            writer.add("\(name).weight", shape: [outputs, channels, 3, 3]) { weights }
            writer.add("\(name).bias", shape: [outputs]) { biases }
            channels = outputs
        }
        try writer.encoded().write(to: url, options: .atomic)
        return url
    }

    static func trainer(_ recipe: Recipe = recipe, threads: Int = 1) throws -> Trainer {
        try Trainer(exemplar: exemplar(), recipe: recipe, features: features, threads: threads)
    }

    /// Runs `body` with a folder and removes the folder afterwards.
    static func inFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("texloom-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try body(folder)
    }

    /// The error that `body` throws.
    static func error(_ body: () throws -> Void) -> TrainingError? {
        do {
            try body()
            return nil
        } catch { return error as? TrainingError }
    }
}

extension Trainer {
    /// A digest of every bit of all networks, their optimisers and the averaged weights. Tests compare
    /// this digest: for unequal whole arrays, the test library searches for minutes for their differences.
    var state: UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for parameter in generator.parameters + model.discriminatorParameters
            + (model.average?.generator.parameters ?? [])
        {
            for array in [parameter.value, parameter.firstMoment, parameter.secondMoment].compactMap({ $0 }) {
                for value in parameter.fileOrder(array) {
                    hash = (hash ^ UInt64(value.bitPattern)) &* 0x100_0000_01B3
                }
            }
        }
        return hash
    }

    func advance(by iterations: Int) throws {
        for _ in 0..<iterations { try advance() }
    }
}

/// Reproducible values in [-1, 1).
func randomValues(_ count: Int, seed: UInt64) -> [Float] {
    var stream = RandomStream(seed: seed, purpose: 1000)
    return (0..<count).map { _ in 2 * stream.uniform() - 1 }
}

func dot(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
