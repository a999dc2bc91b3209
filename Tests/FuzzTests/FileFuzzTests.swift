import Foundation
import ImageFixtures
import Imaging
import NNCore
import Testing

@testable import TextureGAN

/// Files from people and from other machines.
@Suite struct FileFuzzTests {
    private static let image = Image(
        width: 24, height: 20, pixels: (0..<24 * 20 * 3).map { UInt8(truncatingIfNeeded: $0 &* 37 ^ $0 >> 3) })

    @Test func damagedPicturesAreRefusedOrReadWhole() throws {
        let fixtures: [PNGFixture] = [
            PNGFixture(
                width: 3, height: 2, bitDepth: 8, colorType: .palette, rows: [[0, 1, 0], [1, 1, 0]],
                palette: [1, 2, 3, 4, 5, 6], transparency: [9]),
            PNGFixture(width: 4, height: 1, bitDepth: 2, colorType: .grey, rows: [[0b00_01_10_11]]),
            PNGFixture(width: 2, height: 1, bitDepth: 16, colorType: .greyAlpha, rows: [[1, 2, 3, 4, 5, 6, 7, 8]]),
            PNGFixture(width: 1, height: 1, bitDepth: 8, colorType: .rgba, rows: [[0, 100, 200, 51]]),
        ]
        let pngs = try [Self.image.png()] + fixtures.map { $0.encoded() }
        let jpegs =
            [JPEGFixture.grey, JPEGFixture.colour, JPEGFixture.cmyk]
            + [1, 6, 8].map { JPEGFixture.oriented($0, littleEndian: $0 == 6) }
        let limits = ImageLimits(maxPixels: 1 << 20, maxFileBytes: 1 << 20)
        func decode(_ bytes: [UInt8]) throws {
            let data = Data(bytes)
            let header = try Image.header(of: data, name: "fuzz", limits: limits)
            let image = try Image(decoding: data, name: "fuzz", limits: limits)
            #expect(image.width == header.width && image.height == header.height)
            #expect(image.pixels.count == image.width * image.height * 3)
            // As a map, CMYK is refused.
            if let map = try? DecodedMap(data, isColour: false, name: "fuzz", limits: limits) {
                #expect(map.image.width == header.width && map.image.height == header.height)
                #expect(map.alpha.map { $0.pixels.count == image.width * image.height } ?? true)
            }
        }
        try Fuzzer(name: "PNG", corpus: pngs.map { [UInt8]($0) })
            .run(executions: 6000, repair: Mutator.withPNGChecks, decode: decode)
        try Fuzzer(name: "JPEG and EXIF", corpus: jpegs.map { [UInt8]($0) }).run(executions: 6000, decode: decode)
    }

    @Test func anAcceptedRecipeSurvivesItsOwnFile() throws {
        let recipes = Recipe.named.map { $0.yaml() } + ["base: draft\nk: 32\nstyle: off\n", "{ngf: 4, blocks: 1}"]
        try Fuzzer(name: "recipe", corpus: recipes.map { Array($0.utf8) }).run(executions: 4000) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            let recipe = try Recipe(yaml: text, source: "fuzz")
            afterwards {
                let again = try Recipe(yaml: recipe.yaml(), source: "again")
                #expect(again == recipe)
            }
        }
        let overrides = ["k=32", "learning_rate=0.0002", "style=off", "name=a b", "iterations=9000"]
        try Fuzzer(name: "recipe override", corpus: overrides.map { Array($0.utf8) }).run(executions: 4000) { bytes in
            _ = try Recipe(named: "draft", overrides: [String(decoding: bytes, as: UTF8.self)])
        }
    }

    @Test func anAcceptedSafetensorsFileIsReadWhole() throws {
        let folder = try ScratchFolder()
        var writer = SafetensorsWriter(metadata: ["format": "fuzz", "quote": "\"\\"])
        writer.add("a", shape: [2, 3]) { [1, 2, 3, 4, 5, 6] }
        writer.add("b", shape: [0, 7]) { [] }
        writer.add("c", shape: [2], [0.5, -1])
        try writer.write(to: folder.file("file"))
        let corpus = [[UInt8](try Data(contentsOf: folder.file("file")))]
        try Fuzzer(name: "safetensors", corpus: corpus).run(executions: 8000) { bytes in
            let file = try Safetensors(Data(bytes), file: "fuzz")
            afterwards {
                for (name, entry) in file.entries {
                    let count =
                        switch entry.type {
                        case .float32: try file.floats(name).count
                        case .float64: try file.doubles(name).count
                        case .uint8: try file.bytes(name).count
                        case .int32: try file.integers(name).count
                        case .float16, .int64: entry.count
                        }
                    #expect(count == entry.count)
                }
            }
        }
    }

    @Test func trainingContinuesFromAnAcceptedCheckpoint() throws {
        let folder = try ScratchFolder()
        var recipe = Recipe.draft
        recipe.start = .random
        (recipe.k, recipe.generatorWidth, recipe.residualBlocks) = (8, 1, 1)
        (recipe.discriminatorWidth, recipe.discriminatorLayers, recipe.style) = (1, 1, nil)
        (recipe.iterations, recipe.metricsEvery) = (40, 1)
        func trainer() throws -> Trainer {
            try Trainer(exemplar: Exemplar(Self.image, name: "fuzz"), recipe: recipe, threads: 1)
        }
        let trained = try trainer()
        for _ in 0..<2 { try trained.advance() }
        try trained.writeCheckpoint(to: folder.file("checkpoint"))
        try trained.writeGenerator(to: folder.file("generator"))
        let checkpoint = [UInt8](try Data(contentsOf: folder.file("checkpoint")))
        let generator = [UInt8](try Data(contentsOf: folder.file("generator")))
        let file = folder.file("input")
        var (reachedTheFields, taken) = (0, 0)
        try Fuzzer(name: "checkpoint", corpus: [checkpoint])
            .run(executions: 600, repair: Mutator.withCheckpointSum) { bytes in
                try Data(bytes).write(to: file)
                let trainer = try trainer()
                do {
                    try trainer.restore(from: file)
                } catch let error as TrainingError {
                    if error.code != .damagedCheckpoint { reachedTheFields += 1 }
                    throw error
                }
                taken += 1
                // Training must continue from an accepted checkpoint.
                afterwards {
                    do { try trainer.advance() } catch let error as TrainingError where error.code == .notFinite {}
                }
            }
        #expect(reachedTheFields > 100 && taken > 10, "\(reachedTheFields) got past the sum, \(taken) were taken")
        try Fuzzer(name: "generator", corpus: [generator]).run(executions: 1500) { bytes in
            try Data(bytes).write(to: file)
            _ = try Generator.load(contentsOf: file)
        }
    }

    @Test func aSmallFileClaimingAHugeNetworkIsRefused() throws {
        let folder = try ScratchFolder()
        for (width, blocks) in [(512, 64), (1 << 40, 1), (1 << 60, 0), (-1, 1)] {
            var writer = SafetensorsWriter(metadata: [:])
            if width > 0 { writer.add("head.weight", shape: [width, 0, 7, 7]) { [] } }
            for block in 0..<blocks { writer.add("blocks.\(block).conv1.weight", shape: [0]) { [] } }
            try writer.write(to: folder.file("plain"))
            #expect(throws: TrainingError.self) { try Generator.load(contentsOf: folder.file("plain")) }
        }
        var recipe = Recipe.paper
        (recipe.generatorWidth, recipe.residualBlocks) = (512, 64)
        var writer = SafetensorsWriter(metadata: ["recipe": recipe.yaml()])
        writer.add("head.weight", shape: [1]) { [0] }
        try writer.write(to: folder.file("recipe"))
        #expect(throws: TrainingError.self) { try Generator.load(contentsOf: folder.file("recipe")) }
    }
}
