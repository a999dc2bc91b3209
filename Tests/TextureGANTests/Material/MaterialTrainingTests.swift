import Foundation
import Imaging
import NNCore
import Testing

@testable import TextureGAN

/// Networks of as many channels as a material has: training, files, expansion.
@Suite struct MaterialTrainingTests {
    private static var recipe: Recipe {
        var recipe = TinyRun.recipe
        recipe.norm = .without
        recipe.discriminatorNorm = .batch
        recipe.secondDiscriminatorNorm = .without
        recipe.upsample = .nearest
        recipe.ema = 0.9
        return recipe
    }

    private static func trainer(_ recipe: Recipe = recipe, threads: Int = 1) throws -> Trainer {
        try Trainer(
            exemplar: Exemplar(TinyMaterial.material()), recipe: recipe, features: TinyRun.features, threads: threads)
    }

    @Test func everyMapIsLearned() throws {
        var recipe = Self.recipe
        recipe.style = nil
        recipe.learningRate = 2e-3
        let trainer = try Self.trainer(recipe)
        let first = try trainer.advance().report
        var last = first
        let before = trainer.generator.parameters.last!.fileOrder()
        for _ in 0..<39 { last = try trainer.advance().report }
        #expect(last.l1 < 0.8 * first.l1)
        // The tail's bias: each channel has moved.
        let after = trainer.generator.parameters.last!.fileOrder()
        #expect(before.count == 10 && zip(before, after).allSatisfy { $0 != $1 })
    }

    @Test func theStyleLossSeesTheAlbedoAlone() throws {
        let features = try VGGFeatures(.vgg16, taps: 2, input: .raw, weights: TinyRun.features)
        let workspace = Workspace(threads: 1)
        let layout = TinyMaterial.layout
        func tensor(_ seed: UInt64) -> Tensor {
            let result = Tensor(in: workspace.arena, height: 16, width: 12, channels: layout.channels)
            for (index, value) in randomValues(result.count, seed: seed).enumerated() { result.data[index] = value }
            return result
        }
        let (image, target) = (tensor(1), tensor(2))
        let gradient = Tensor(in: workspace.arena, like: image)
        let loss = features.styleLoss(
            ofAlbedoIn: image, target: target, weight: 1, gradient: gradient, in: workspace)
        let albedo = image.channels(0..<3, in: workspace.arena)
        let expected = Tensor(in: workspace.arena, like: albedo)
        let alone = features.styleLoss(
            of: albedo, target: target.channels(0..<3, in: workspace.arena), weight: 1, gradient: expected,
            in: workspace)
        #expect(loss == alone)
        for pixel in 0..<image.pixels {
            for channel in 0..<layout.channels {
                let found = gradient.data[pixel * layout.channels + channel]
                #expect(found == (channel < 3 ? expected.data[3 * pixel + channel] : 0))
            }
        }
    }

    @Test func aTrainingResumesBitForBitWithAnyThreads() throws {
        try TinyRun.inFolder { folder in
            let file = folder.appendingPathComponent("checkpoint.safetensors")
            let (whole, first, second) = (
                try Self.trainer(), try Self.trainer(threads: 2), try Self.trainer(threads: 3)
            )
            for _ in 0..<6 { try whole.advance() }
            for _ in 0..<3 { try first.advance() }
            try first.writeCheckpoint(to: file)
            try second.restore(from: file)
            for _ in 0..<3 { try second.advance() }
            for (a, b) in zip(whole.usedGenerator.parameters, second.usedGenerator.parameters) {
                #expect(a.fileOrder() == b.fileOrder(), "\(a.name)")
            }
            // The albedo alone, and the same maps with other greens, are other exemplars.
            let photograph = try Trainer(
                exemplar: Exemplar(TinyMaterial.material().albedo, name: "waves"), recipe: Self.recipe,
                features: TinyRun.features, threads: 1)
            #expect(TinyRun.error { try photograph.restore(from: file) }?.code == .badCheckpoint)
            let turned = Material(
                name: "waves",
                layout: MapLayout([.albedo, .normalDX, .roughness, .metalness, .ambientOcclusion, .displacement])!,
                pixels: TinyMaterial.material().pixels, depths: [8, 8, 8, 8, 8, 16])
            #expect(Exemplar(turned).fingerprint != whole.exemplar.fingerprint)
        }
    }

    @Test func filesKeepTheLayoutAndFilesOfPhotographsHaveNone() throws {
        try TinyRun.inFolder { folder in
            let trainer = try Self.trainer()
            try trainer.advance()
            let (file, checkpoint) = (
                folder.appendingPathComponent("g.safetensors"), folder.appendingPathComponent("c.safetensors")
            )
            try trainer.writeGenerator(to: file)
            try trainer.writeCheckpoint(to: checkpoint)
            for url in [file, checkpoint] {
                #expect(try Safetensors(contentsOf: url).metadata["maps"] == TinyMaterial.layout.description)
                #expect(try Generator.load(contentsOf: url).generator.layout == TinyMaterial.layout)
            }
            #expect(try Generator.file(fromCheckpoint: checkpoint) == Data(contentsOf: file))

            let photograph = try TinyRun.trainer()
            try photograph.writeGenerator(to: file)
            try photograph.writeCheckpoint(to: checkpoint)
            for url in [file, checkpoint] { #expect(try Safetensors(contentsOf: url).metadata["maps"] == nil) }
            #expect(try Generator.load(contentsOf: file).generator.layout == .picture)
        }
    }

    @Test func aGeneratorWithUnknownMapsIsRefused() throws {
        try TinyRun.inFolder { folder in
            let file = folder.appendingPathComponent("g.safetensors")
            let trainer = try Self.trainer()
            try Checkpoint.network(
                trainer.generator.parameters, kind: "generator", recipe: trainer.recipe,
                origin: ["maps": "albedo,shine"]
            ).write(to: file)
            let error = TinyRun.error { _ = try Generator.load(contentsOf: file) }
            #expect(error?.message.contains("albedo,shine") == true)
        }
    }

    /// All weights of the file are used. In the layers on pictures they serve the albedo, and other channels have none.
    @Test func startWeightsServeTheSharedLayersAndTheAlbedo() throws {
        var recipe = Recipe.draft
        recipe.style = nil
        let trainer = try Trainer(
            exemplar: Exemplar(TinyMaterial.material(width: 80, height: 72)), recipe: recipe, threads: 1)
        let file = try Safetensors(StartWeights.embeddedFile, file: "drawn")
        for (prefix, parameters) in [
            ("generator.", trainer.generator.parameters), ("discriminator.", trainer.model.discriminatorParameters),
        ] {
            for parameter in parameters where parameter.isTrained {
                let shape = parameter.layout.fileShape
                let stored = try #require(file.entries[prefix + parameter.name]?.shape)
                let (values, found) = (try file.halves(prefix + parameter.name, shape: stored), parameter.fileOrder())
                guard shape != stored else {
                    #expect(values == found, "\(parameter.name)")
                    continue
                }
                let (few, many) = (values.count / stored[0], found.count / shape[0])
                for index in found.indices {
                    let (row, place) = (index / many, index % many)
                    let expected = row < stored[0] && place < few ? values[row * few + place] : 0
                    #expect(found[index] == expected, "\(parameter.name)")
                }
            }
        }
    }

    // MARK: Snapshots and expansion

    @Test func aSnapshotShowsAllMapsAndMeasuresTheAlbedo() throws {
        let trainer = try Self.trainer()
        let snapshot = trainer.takeSnapshot()
        #expect(snapshot.albedo.width == 64 && snapshot.albedo.height == 56)
        #expect(snapshot.shown.width == 3 * 64 && snapshot.shown.height == 2 * 56)
        #expect(snapshot.shown.cropped(x: 0, y: 0, width: 64, height: 56) == snapshot.albedo)
    }

    @Test func piecesAndBandsGiveTheBytesOfTheWhole() throws {
        var recipe = Self.recipe
        recipe.generatorWidth = 8
        let generator = Generator(
            recipe, TinyMaterial.layout, initialisedFrom: RandomStream(seed: 5, purpose: 0), trained: false)
        let image = TinyMaterial.material(width: 300, height: 260).pixels
        let workspace = Workspace(threads: 2)
        let whole = Expansion.expand(image, with: generator, in: workspace)
        #expect(whole.channels == 10 && whole.width == 600)
        let needed = PiecewiseInference.count(generator, height: 292, width: 332) * 4
        let pieces = try Expansion.expand(
            image, with: generator, statistics: .image, memoryLimit: needed, in: workspace)
        #expect(pieces == whole)
    }

    @Test func aSeamlessMaterialRollsToTheLastBit() throws {
        let generator = Generator(
            Self.recipe, TinyMaterial.layout, initialisedFrom: RandomStream(seed: 5, purpose: 0), trained: false)
        let image = PeriodicImage.made(
            from: TinyMaterial.material(width: 64, height: 52).pixels, along: .both)
        func expand(_ image: DeepImage) throws -> DeepImage {
            try Expansion.seamless(
                image, along: .both, with: generator, statistics: .image, memoryLimit: 1 << 30,
                in: Workspace(threads: 2))
        }
        let result = try expand(image)
        #expect(try expand(image.rolled(x: 4, y: -8)) == result.rolled(x: 8, y: -16))
    }

    @Test func noiseAndTilesTakeAllMaps() {
        let image = TinyMaterial.material().pixels
        var stream = RandomStream(seed: 1, purpose: 1)
        for made in [image.noise(from: &stream), image.shuffledTiles(4, from: &stream)] {
            #expect(made.channels == 10 && made != image)
        }
        // Maps stay together: albedo and displacement are the same relief in this material.
        let tiles = image.shuffledTiles(4, from: &stream)
        #expect((0..<tiles.width * tiles.height).allSatisfy { tiles.pixels[10 * $0] == tiles.pixels[10 * $0 + 9] })
    }
}
