import Base
import Foundation
import NNCore
import Testing

@testable import TextureGAN

@Suite struct CheckpointTests {
    static let resumed: [RecipeVariant] = [
        RecipeVariant(testDescription: "batch norm with dropout") { $0.dropout = 0.5 },
        RecipeVariant(testDescription: "instance norm with dropout") {
            $0.norm = .instance
            $0.dropout = 0.5
        },
        RecipeVariant(testDescription: "no dropout, nearest, least squares") {
            $0.dropout = 0
            $0.upsample = .nearest
            $0.adversarial = .lsgan
        },
        RecipeVariant(testDescription: "no norm, spectral norm, hinge, averaged weights") {
            $0.norm = .without
            $0.discriminatorNorm = .spectral
            $0.adversarial = .hinge
            $0.ema = 0.9
        },
        RecipeVariant(testDescription: "batch norm, averaged weights") { $0.ema = 0.5 },
        // Computed in the iterations 1, 3 and 6: the run reports the value of 3 after its first stop.
        RecipeVariant(testDescription: "style_every: 3") { $0.styleEvery = 3 },
    ]

    @Test("Stopping, restoring and continuing gives the bytes of a run that never stopped", arguments: resumed)
    func resumingIsBitExact(_ variant: RecipeVariant) throws {
        let whole = try TinyRun.trainer(variant.recipe)
        try whole.advance(by: 7)
        try TinyRun.inFolder { folder in
            let file = folder.appendingPathComponent("checkpoint.safetensors")
            // Stopped twice, and each time resumed with another number of threads.
            let first = try TinyRun.trainer(variant.recipe, threads: 2)
            try first.advance(by: 3)
            try first.writeCheckpoint(to: file)
            let second = try TinyRun.trainer(variant.recipe, threads: 3)
            try second.restore(from: file)
            #expect(second.iteration == 3 && second.state == first.state)
            #expect(second.trainingSeconds == first.trainingSeconds && second.history == first.history)
            try second.advance(by: 2)
            try second.writeCheckpoint(to: file)
            let third = try TinyRun.trainer(variant.recipe, threads: 1)
            try third.restore(from: file)
            try third.advance(by: 2)
            #expect(third.state == whole.state)
            #expect(third.crops.stream == whole.crops.stream && third.dropout == whole.dropout)
            #expect(third.history.map(\.iteration) == whole.history.map(\.iteration))
            let losses = { (row: TrainingRun.MetricsRow) in row.values.dropLast() }
            #expect(third.history.map(losses) == whole.history.map(losses))
            // The results are the same files.
            let (a, b) = (folder.appendingPathComponent("a"), folder.appendingPathComponent("b"))
            try third.writeGenerator(to: a)
            try whole.writeGenerator(to: b)
            let sameGenerator = try Data(contentsOf: a) == Data(contentsOf: b)
            try third.writeDiscriminator(to: a)
            try whole.writeDiscriminator(to: b)
            let sameDiscriminator = try Data(contentsOf: a) == Data(contentsOf: b)
            #expect(sameGenerator && sameDiscriminator)
        }
    }

    @Test(arguments: [Float(0), 0.9]) func aCheckpointHoldsTheGeneratorThatTheRunWrites(_ ema: Float) throws {
        try TinyRun.inFolder { folder in
            let checkpoint = folder.appendingPathComponent("checkpoint.safetensors")
            let generator = folder.appendingPathComponent("generator.safetensors")
            var recipe = TinyRun.recipe
            recipe.ema = ema
            let trainer = try Trainer(
                exemplar: TinyRun.exemplar(), recipe: recipe, features: TinyRun.features, threads: 1)
            try trainer.advance(by: 3)
            try trainer.writeCheckpoint(to: checkpoint)
            try trainer.writeGenerator(to: generator)
            let isSame = try Generator.file(fromCheckpoint: checkpoint) == Data(contentsOf: generator)
            #expect(isSame)
            // The checkpoint itself also works as a generator file.
            let pictures = try [checkpoint, generator].map {
                Expansion.expand(
                    TinyRun.image(), with: try Generator.load(contentsOf: $0).generator, in: Workspace(threads: 1))
            }
            #expect(pictures[0] == pictures[1])

            let error = TinyRun.error { _ = try Generator.file(fromCheckpoint: generator) }
            let expected = "\(generator.path) is a generator already; expand and export take it as it is"
            #expect(error?.message == expected)
            var bytes = try Data(contentsOf: checkpoint)
            bytes[bytes.count / 2] ^= 1
            try bytes.write(to: checkpoint)
            #expect(TinyRun.error { _ = try Generator.load(contentsOf: checkpoint) }?.code == .damagedCheckpoint)
        }
    }

    private func refusal(_ file: URL, recipe: Recipe = TinyRun.recipe, exemplar: Exemplar = TinyRun.exemplar()) throws
        -> String
    {
        let trainer = try Trainer(exemplar: exemplar, recipe: recipe, features: TinyRun.features, threads: 1)
        guard let error = TinyRun.error({ try trainer.restore(from: file) }) else { return "accepted" }
        return error.code == .badCheckpoint ? error.message : "another error: \(error)"
    }

    @Test func checkpointsOfAnotherExemplarOrRecipeAreRefused() throws {
        try TinyRun.inFolder { folder in
            let file = folder.appendingPathComponent("c.safetensors")
            try TinyRun.trainer().writeCheckpoint(to: file)
            let other = Exemplar(TinyRun.image(seed: 1), name: "stripes.png")
            #expect(try refusal(file, exemplar: other).contains("c.safetensors: belongs to another exemplar"))
            for change in [
                { $0.seed = 8 }, { $0.l1Weight = 99 }, { $0.k = 8 }, { $0.generatorWidth = 4 }, { $0.iterations = 41 },
            ] as [(inout Recipe) -> Void] {
                var recipe = TinyRun.recipe
                change(&recipe)
                #expect(try refusal(file, recipe: recipe).contains("belongs to another recipe"))
            }
            #expect(try refusal(file) == "accepted")
        }
    }

    @Test func theRecipeIsComparedByItsValuesAndNotByTheWordsOfItsComments() throws {
        try TinyRun.inFolder { folder in
            let file = folder.appendingPathComponent("c.safetensors")
            let trainer = try TinyRun.trainer()
            try trainer.advance(by: 1)
            try trainer.writeCheckpoint(to: file)
            try rewrite(file) {
                $0["recipe"] = $0["recipe"]!.replacing("# What reports call", with: "# How reports name")
            }
            #expect(try refusal(file) == "accepted")
        }
    }

    /// Rewrites a checkpoint with other metadata.
    private func rewrite(_ url: URL, _ change: (inout [String: String]) -> Void) throws {
        let file = try Safetensors(Data(contentsOf: url), file: url.path)
        var metadata = file.metadata
        // Drops the checksum, which would reveal every change.
        metadata["crc64"] = nil
        change(&metadata)
        var writer = SafetensorsWriter(metadata: metadata)
        for (name, entry) in file.entries.sorted(by: { $0.key < $1.key }) {
            if entry.type == .float64 {
                writer.add(name, shape: entry.shape, try file.doubles(name))
            } else {
                let values = try file.floats(name)
                writer.add(name, shape: entry.shape) { values }
            }
        }
        try writer.write(to: url)
    }

    @Test func fieldsThatAreMissingOrImpossibleAreNamed() throws {
        try TinyRun.inFolder { folder in
            let original = folder.appendingPathComponent("original.safetensors")
            let file = folder.appendingPathComponent("c.safetensors")
            let trainer = try TinyRun.trainer()
            try trainer.advance(by: 2)
            try trainer.writeCheckpoint(to: original)
            let keys = try Safetensors(contentsOf: original).metadata.keys
            #expect(keys.count >= 10)
            for key in keys where !["software", "exemplar_name", "history_columns", "crc64"].contains(key) {
                for value in [nil, "", "x", "-1", "1e400", "nan", "99999999999999999999999"] {
                    try? FileManager.default.removeItem(at: file)
                    try FileManager.default.copyItem(at: original, to: file)
                    try rewrite(file) { $0[key] = value }
                    let refusal = try refusal(file)
                    // Releases that did not count CPU time wrote no such field.
                    let isOld = key == "cpu_seconds" && value == nil
                    #expect(
                        refusal.contains(isOld ? "accepted" : "c.safetensors"),
                        "\(key) = \(value ?? "nothing"): \(refusal)")
                }
            }
            // Files of other kinds.
            try trainer.writeGenerator(to: file)
            #expect(try refusal(file).contains("is of format 'texloom-generator-1', expected texloom-checkpoint-1"))
            try SafetensorsWriter(metadata: [:]).write(to: file)
            #expect(try refusal(file).contains("lacks 'format': not a texloom checkpoint"))
        }
    }

    /// The bytes may be good: they count neither as damaged nor against the job.
    @Test func aFileThatTheSystemDoesNotGiveIsTheDisksFault() throws {
        try TinyRun.inFolder { folder in
            // A file that is gone, and a name that leads nowhere.
            let loop = folder.appendingPathComponent("loop.safetensors")
            try FileManager.default.createSymbolicLink(at: loop, withDestinationURL: loop)
            for file in [folder.appendingPathComponent("none.safetensors"), loop] {
                for (role, read) in [
                    ("checkpoint", { try TinyRun.trainer().restore(from: file) }),
                    ("generator", { _ = try Generator.load(contentsOf: file) }),
                    ("checkpoint", { _ = try Generator.file(fromCheckpoint: file) }),
                ] as [(String, () throws -> Void)] {
                    let error = TinyRun.error(read)
                    #expect(error?.code == .fileSystem && error?.isRetryable == true, "\(role) \(file.path)")
                    #expect(error?.message.hasPrefix("\(role) \(file.path): cannot be read: ") == true)
                }
            }
            // A result's folder instead of a file in it.
            let given = TinyRun.error { _ = try Generator.load(contentsOf: folder) }
            #expect(
                given?.message
                    == "\(folder.path) is a folder; expected a file in it, such as generator.safetensors")
            let asked = TinyRun.error { _ = try Generator.file(fromCheckpoint: folder) }
            #expect(asked?.message.hasSuffix("expected a file in it, such as last_checkpoint.safetensors") == true)
            // Contents that are wrong stay wrong.
            let file = folder.appendingPathComponent("c.safetensors")
            try Data("nonsense".utf8).write(to: file)
            let generator = TinyRun.error { _ = try Generator.load(contentsOf: file) }
            #expect(generator?.code == .badCheckpoint && generator?.isRetryable == false)
            let checkpoint = TinyRun.error { try TinyRun.trainer().restore(from: file) }
            #expect(checkpoint?.code == .badCheckpoint && checkpoint?.isRetryable == true)
        }
    }

    /// Numbers that fit their type but that training cannot continue from. With traps they would crash; without, the
    /// behaviour is undefined.
    @Test func extremeCountersAreRefusedOrTrainedFrom() throws {
        try TinyRun.inFolder { folder in
            let file = folder.appendingPathComponent("c.safetensors")
            let trainer = try TinyRun.trainer()
            try trainer.advance(by: 2)
            for key in ["generator_steps", "discriminator_steps"] {
                try trainer.writeCheckpoint(to: file)
                try rewrite(file) { $0[key] = String(Int.max) }
                #expect(try refusal(file).contains("'\(key)' is '\(Int.max)', expected a number from 0 to 40"))
            }
            try trainer.writeCheckpoint(to: file)
            try rewrite(file) {
                $0["crops_position"] = String(UInt64.max)
                $0["dropout_position"] = String(UInt64.max - 1)
            }
            let heir = try TinyRun.trainer()
            try heir.restore(from: file)
            try heir.advance(by: 2)
            #expect(heir.iteration == 4 && heir.crops.stream.position < 100)
        }
    }

    @Test func cpuTimeThatWasNotCountedIsAbsent() throws {
        try TinyRun.inFolder { folder in
            let file = folder.appendingPathComponent("c.safetensors")
            let trainer = try TinyRun.trainer()
            try trainer.advance(by: 2)
            try trainer.writeCheckpoint(to: file)
            try rewrite(file) { $0["cpu_seconds"] = nil }
            let heir = try TinyRun.trainer()
            try heir.restore(from: file)
            #expect(heir.cpuSeconds == nil)
            try heir.writeCheckpoint(to: file)
            #expect(try Safetensors(contentsOf: file).metadata["cpu_seconds"] == nil)
        }
    }

    @Test func historiesThatAreNoHistoriesAreRefused() throws {
        try TinyRun.inFolder { folder in
            let url = folder.appendingPathComponent("c.safetensors")
            let trainer = try TinyRun.trainer()
            try trainer.advance(by: 2)
            try trainer.writeCheckpoint(to: url)
            let file = try Safetensors(Data(contentsOf: url), file: "c")
            let width = 2 + Trainer.columns.count
            for (shape, value) in [
                ([2, width], Double.nan), ([2, width], 1e300), ([2, width + 1], 1), ([width + 1], 1),
            ] {
                var writer = SafetensorsWriter(metadata: file.metadata.filter { $0.key != "crc64" })
                for name in file.entries.keys.sorted() where name != "history" {
                    let values = try file.floats(name)
                    writer.add(name, shape: file.entries[name]!.shape) { values }
                }
                writer.add("history", shape: shape, [Double](repeating: value, count: shape.reduce(1, *)))
                try writer.write(to: url)
                let refusal = try refusal(url)
                #expect(refusal.contains("history"), "\(shape) of \(value): \(refusal)")
            }
        }
    }

    @Test func corruptCheckpointsAreRefused() throws {
        try TinyRun.inFolder { folder in
            let file = folder.appendingPathComponent("c.safetensors")
            let trainer = try TinyRun.trainer()
            try trainer.advance(by: 1)
            try trainer.writeCheckpoint(to: file)
            let whole = try Data(contentsOf: file)
            for length in [0, 7, 8, 100, whole.count / 2, whole.count - 1] {
                try whole.prefix(length).write(to: file)
                #expect(try refusal(file).contains("c.safetensors"), "cut to \(length) bytes")
            }
            var stream = RandomStream(seed: 6, purpose: 0)
            let header = 8 + Int(whole.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
            for _ in 0..<100 {
                var data = whole
                for _ in 0..<3 { data[stream.integer(through: header - 1)] = UInt8(stream.integer(through: 255)) }
                try data.write(to: file)
                let outcome = try refusal(file)
                #expect(outcome.contains("c.safetensors") || data == whole, "\(outcome)")
            }
        }
    }

    /// A bad checkpoint counts against the job's retry budget. A foreign one does not.
    @Test func anUnreadableCheckpointOfAnotherVersionIsNotCalledBad() throws {
        try TinyRun.inFolder { folder in
            let original = folder.appendingPathComponent("original.safetensors")
            let file = folder.appendingPathComponent("c.safetensors")
            try TinyRun.trainer().writeCheckpoint(to: original)
            func error(_ software: String, format: String) throws -> TrainingError? {
                try? FileManager.default.removeItem(at: file)
                try FileManager.default.copyItem(at: original, to: file)
                try rewrite(file) { ($0["software"], $0["format"]) = (software, format) }
                return TinyRun.error { try TinyRun.trainer().restore(from: file) }
            }
            let foreign = try error("texloom 9.0", format: "texloom-checkpoint-9")
            #expect(foreign?.code == .foreignCheckpoint && foreign?.message.contains("texloom 9.0 wrote it") == true)
            #expect(try error("texloom 9.0", format: "texloom-checkpoint-1") == nil, "what can be read is read")
            #expect(try error("texloom \(texloomVersion)", format: "other")?.code == .badCheckpoint)
        }
    }

    @Test func theChecksumDetectsAChangedBitAnywhereInACheckpoint() throws {
        try TinyRun.inFolder { folder in
            let file = folder.appendingPathComponent("c.safetensors")
            let trainer = try TinyRun.trainer()
            try trainer.advance(by: 2)
            try trainer.writeCheckpoint(to: file)
            let whole = try Data(contentsOf: file)
            #expect(try refusal(file) == "accepted")
            let headerEnd = 8 + Int(whole.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
            var stream = RandomStream(seed: 8, purpose: 0)
            for _ in 0..<200 {
                var data = whole
                data[headerEnd + stream.integer(through: whole.count - headerEnd - 1)] ^= UInt8(
                    1 << stream.integer(through: 7))
                try data.write(to: file)
                let error = TinyRun.error {
                    try Trainer(
                        exemplar: TinyRun.exemplar(), recipe: TinyRun.recipe, features: TinyRun.features, threads: 1
                    ).restore(from: file)
                }
                #expect(error?.code == .damagedCheckpoint && error?.isRetryable == true)
                #expect(error?.message.contains("c.safetensors") == true)
            }
            // Damage in the header counts too: a digit of the iteration, and of the checksum itself.
            for text in ["\"iteration\":\"2\"", "\"crc64\":\""] {
                var data = whole
                let place = try #require(data.range(of: Data(text.utf8)))
                let digit = text.hasSuffix("2\"") ? place.upperBound - 2 : place.upperBound
                data[digit] = data[digit] == 0x31 ? 0x32 : 0x31
                try data.write(to: file)
                #expect(try refusal(file).contains("checksum is wrong"))
            }
        }
    }

    @Test func generatorsAreLoadedFromTheirFileWithTheirRecipe() throws {
        try TinyRun.inFolder { folder in
            let file = folder.appendingPathComponent("g.safetensors")
            for variant in CheckpointTests.resumed {
                let trainer = try TinyRun.trainer(variant.recipe)
                try trainer.advance(by: 2)
                try trainer.writeGenerator(to: file)
                let (generator, recipe) = try Generator.load(contentsOf: file)
                #expect(recipe == variant.recipe)
                #expect(
                    generator.parameters.map { $0.fileOrder() }
                        == trainer.usedGenerator.parameters.map { $0.fileOrder() })
                #expect(generator.parameters.allSatisfy { !$0.isTrained })
            }
        }
    }

    @Test(arguments: Recipe.Norm.allCases)
    func generatorsOfOtherImplementationsAreKnownByTheirShapes(norm: Recipe.Norm) throws {
        try TinyRun.inFolder { folder in
            let url = folder.appendingPathComponent("g.safetensors")
            var recipe = TinyRun.recipe
            recipe.residualBlocks = 3
            recipe.norm = norm
            let original = Generator(recipe, initialisedFrom: RandomStream(seed: 1, purpose: 1))
            func write(leavingOut omitted: String? = nil) throws {
                var writer = SafetensorsWriter(metadata: [:])
                for parameter in original.parameters where parameter.name != omitted {
                    writer.add(parameter.name, shape: parameter.layout.fileShape) { parameter.fileOrder() }
                }
                try writer.write(to: url)
            }
            try write()
            let (generator, found) = try Generator.load(contentsOf: url)
            #expect(found.generatorWidth == 3 && found.residualBlocks == 3 && found.norm == norm)
            #expect(generator.parameters.map { $0.fileOrder() } == original.parameters.map { $0.fileOrder() })
            try write(leavingOut: "up.1.weight")
            let lacking = TinyRun.error { _ = try Generator.load(contentsOf: url) }
            #expect(lacking?.message.contains("up.1.weight") == true)
            try write(leavingOut: "head.weight")
            let none = TinyRun.error { _ = try Generator.load(contentsOf: url) }
            #expect(none?.code == .badCheckpoint && none?.message.contains("not a generator") == true)
        }
    }
}
