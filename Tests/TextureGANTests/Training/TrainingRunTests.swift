import Foundation
import ImageFixtures
import Imaging
import NNCore
import Testing

@testable import TextureGAN

@Suite struct TrainingRunTests {
    /// Has no style loss, so it needs no installed feature weights.
    private static var recipe: Recipe {
        var recipe = TinyRun.recipe
        recipe.style = nil
        recipe.iterations = 10
        return recipe
    }

    private func input(_ folder: URL, _ recipe: Recipe = recipe, checkpoint: URL? = nil) throws -> TrainingRun.Input {
        let exemplar = folder.appendingPathComponent("exemplar")
        if !FileManager.default.fileExists(atPath: exemplar.path) {
            try TinyRun.image().png().write(to: exemplar)
        }
        return TrainingRun.Input(
            exemplar: .photograph(exemplar), exemplarName: "stripes.png", recipe: recipe, checkpoint: checkpoint,
            threads: 2, folder: folder)
    }

    /// A summary of a run's reports. It checks each artifact's file when the run reports it.
    private final class Log {
        var lines: [String] = []
        var files: [(kind: TrainingRun.ArtifactKind, iteration: Int, file: URL)] = []
        var rows: [TrainingRun.MetricsRow] = []
        /// As bits, because absent figures are NaN.
        var figures: [(iteration: Int, bits: [UInt32])] = []

        func take(_ report: TrainingRun.Report) {
            switch report {
            case .started(let iteration, let total): lines.append("started \(iteration)/\(total)")
            case .iterated(let iteration, let seconds):
                lines.append("iterated \(iteration)")
                #expect(seconds > 0)
            case .metrics(let columns, let rows):
                #expect(columns.starts(with: Trainer.columns) && rows.allSatisfy { $0.values.count == columns.count })
                self.rows += rows
                if columns.count > Trainer.columns.count {
                    #expect(columns == Trainer.columns + QualityFigures.columns)
                    let values = rows[0].values.suffix(QualityFigures.columns.count)
                    figures.append((rows[0].iteration, values.map(\.bitPattern)))
                }
                lines.append("metrics \(rows.map { String($0.iteration) }.joined(separator: " "))")
            case .artifact(let kind, let iteration, let file):
                lines.append("\(kind) \(iteration)")
                files.append((kind, iteration, file))
                // The file is complete when the run reports it, with no half-written file beside it.
                #expect(FileManager.default.fileExists(atPath: file.path))
                let names = try? FileManager.default.contentsOfDirectory(atPath: file.deletingLastPathComponent().path)
                #expect(names?.contains { $0.hasSuffix(".partial") } == false)
                if file.pathExtension == "safetensors" {
                    #expect(throws: Never.self) { try Safetensors(contentsOf: file) }
                }
            case .log(let level, let message): lines.append("\(level): \(message)")
            }
        }
    }

    /// The folder disappears for a while, so writes fail as on a full disk.
    @Test func aDiskThatTakesNoFilesCostsNothingOfTheResult() throws {
        try TinyRun.inFolder { folder in
            let calm = folder.appendingPathComponent("calm")
            let rough = folder.appendingPathComponent("rough")
            for folder in [calm, rough] {
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            }
            var input = try input(folder)
            input.folder = calm
            let quiet = Log()
            _ = try TrainingRun.run(input, wish: { .proceed }, report: quiet.take)
            input.folder = rough
            let log = Log()
            var waits = 0
            let patience = TrainingRun.Patience(interval: .milliseconds(5))
            let outcome = try TrainingRun.run(
                input, patience: patience,
                wish: {
                    // The run asks this while its end waits for the files. Then space returns.
                    if log.lines.contains("iterated 10") {
                        waits += 1
                        if waits == 3 {
                            try? FileManager.default.createDirectory(at: rough, withIntermediateDirectories: true)
                        }
                    }
                    return .proceed
                },
                report: { report in
                    if case .iterated(3, _) = report { try? FileManager.default.removeItem(at: rough) }
                    log.take(report)
                })
            guard case .finished(10, _, _) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(
                log.lines.contains {
                    $0.hasPrefix("error: ") && $0.contains("training continues without this snapshot")
                })
            #expect(log.lines.contains { $0.hasPrefix("error: ") && $0.contains("the checkpoint will be retried") })
            #expect(log.lines.contains { $0.hasPrefix("error: ") && $0.contains("waiting for the disk") })
            for kind in ["generator", "discriminator"] {
                let (a, b) = (calm.appendingPathComponent(kind), rough.appendingPathComponent(kind))
                #expect(
                    try Data(contentsOf: a.appendingPathExtension("safetensors"))
                        == Data(contentsOf: b.appendingPathExtension("safetensors")))
            }
            #expect(log.files.contains { $0.kind == .checkpoint && $0.iteration == 10 })
            #expect(log.rows.map(\.iteration) == quiet.rows.map(\.iteration))
        }
    }

    @Test func aMissedCheckpointIsWrittenAsSoonAsTheDiskTakesIt() throws {
        try TinyRun.inFolder { folder in
            let rough = folder.appendingPathComponent("rough")
            var input = try input(folder)
            input.folder = rough
            let log = Log()
            _ = try TrainingRun.run(
                input, patience: TrainingRun.Patience(interval: .zero), wish: { .proceed },
                report: { report in
                    if case .iterated(8, _) = report {
                        try? FileManager.default.createDirectory(at: rough, withIntermediateDirectories: true)
                    }
                    log.take(report)
                })
            // Due at 6, written at 8.
            #expect(log.files.filter { $0.kind == .checkpoint }.map(\.iteration) == [8, 10])
        }
    }

    @Test func aRunThatIsToStopGivesUpOnAFullDiskWithoutAnError() throws {
        try TinyRun.inFolder { folder in
            var input = try input(folder)
            input.folder = folder.appendingPathComponent("none")
            let log = Log()
            let patience = TrainingRun.Patience(interval: .milliseconds(1), whenStopping: .milliseconds(5))
            let outcome = try TrainingRun.run(
                input, patience: patience, wish: { .checkpointAndStop }, report: log.take)
            guard case .abandoned = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(log.lines.contains { $0.contains("stopping without a checkpoint") })
        }
    }

    /// A wish to stop ends the half-hour wait for the disk.
    @Test func aRunThatWaitsForTheDiskAtItsEndHeedsTheWishToStop() throws {
        try TinyRun.inFolder { folder in
            var input = try input(folder)
            input.folder = folder.appendingPathComponent("none")
            let log = Log()
            let patience = TrainingRun.Patience(
                interval: .milliseconds(1), atTheEnd: .seconds(60), whenStopping: .milliseconds(5))
            let outcome = try TrainingRun.run(
                input, patience: patience,
                wish: { log.lines.contains { $0.contains("waiting for the disk") } ? .checkpointAndStop : .proceed },
                report: log.take)
            guard case .abandoned = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(log.lines.contains { $0.contains("stopping without a checkpoint of iteration 10") })
        }
    }

    @Test func anEndlessFullDiskIsAnErrorInTheEnd() throws {
        try TinyRun.inFolder { folder in
            var input = try input(folder)
            input.folder = folder.appendingPathComponent("none")
            let patience = TrainingRun.Patience(interval: .milliseconds(1), atTheEnd: .milliseconds(5))
            let error = TinyRun.error {
                _ = try TrainingRun.run(input, patience: patience, wish: { .proceed }, report: { _ in })
            }
            #expect(error?.code == .fileSystem)
        }
    }

    @Test func aWholeRunReportsItsProductsInOrder() throws {
        try TinyRun.inFolder { folder in
            let log = Log()
            let outcome = try TrainingRun.run(input(folder), wish: { .proceed }, report: log.take)
            #expect(
                log.lines == [
                    "info: training stripes.png (31x27) with recipe 'tiny': k=12, 10 iterations, style off, "
                        + "so without quality_gram, 2 threads",
                    "started 0/10", "iterated 1", "iterated 2", "iterated 3", "iterated 4", "metrics 1 2 3",
                    "metrics 4", "snapshot 4", "iterated 5", "iterated 6", "metrics 5 6", "checkpoint 6", "iterated 7",
                    "iterated 8", "metrics 7", "metrics 8", "snapshot 8", "iterated 9", "iterated 10", "metrics 9",
                    "metrics 10", "snapshot 10", "checkpoint 10", "generator 10", "discriminator 10",
                ])
            guard case .finished(let iteration, let seconds, let report) = outcome else {
                Issue.record("ended as \(outcome)")
                return
            }
            #expect(iteration == 10 && seconds > 0)
            let json = try JSONSerialization.jsonObject(with: Data(report.utf8)) as? [String: Any]
            #expect(json?["recipe"] as? String == "tiny" && json?["k"] as? Int == 12)
            #expect(json?["featureWeights"] as? String == "off")
            #expect((json?["losses"] as? [String: Any])?.count == Trainer.columns.count)
            #expect((json?["quality"] as? [String: Any])?["quality_colour"] != nil)

            let snapshot = try #require(log.files.last { $0.kind == .snapshot })
            let image = try Image(decoding: Data(contentsOf: snapshot.file), name: "snapshot")
            #expect(image.width == 62 && image.height == 54)
            let product = try #require(log.files.first { $0.kind == .generator })
            let (generator, recipe) = try Generator.load(contentsOf: product.file)
            #expect(recipe == Self.recipe)
            // The last snapshot is the final generator's expansion of the exemplar.
            #expect(Expansion.expand(TinyRun.image(), with: generator, in: Workspace(threads: 1)) == image)
        }
    }

    @Test func stoppingLeavesACheckpointFromWhichTheSameProductComes() throws {
        try TinyRun.inFolder { folder in
            let whole = Log()
            _ = try TrainingRun.run(input(folder), wish: { .proceed }, report: whole.take)
            let wholeGenerator = try Data(contentsOf: #require(whole.files.first { $0.kind == .generator }).file)

            let first = Log()
            let outcome = try TrainingRun.run(
                input(folder),
                wish: { first.lines.contains("iterated 3") ? .checkpointAndStop : .proceed }, report: first.take)
            guard case .stopped(3) = outcome else {
                Issue.record("ended as \(outcome)")
                return
            }
            #expect(first.lines.last == "checkpoint 3")
            let second = Log()
            _ = try TrainingRun.run(
                input(folder, checkpoint: #require(first.files.last).file), wish: { .proceed }, report: second.take)
            #expect(second.lines.contains("started 3/10") && second.lines[0].contains("resumed at iteration 3"))
            #expect(second.rows.map(\.iteration).last == 10)
            let product = try Data(contentsOf: #require(second.files.first { $0.kind == .generator }).file)
            let isSame = product == wholeGenerator
            #expect(isSame)
            // The two halves together report the same as the whole run.
            let losses = { (row: TrainingRun.MetricsRow) in
                [Float(row.iteration)] + row.values.prefix(Trainer.columns.count - 1)
            }
            #expect(second.rows.map(losses) == whole.rows.suffix(second.rows.count).map(losses))
            #expect(second.figures.map(\.iteration) == [4, 8, 10])
            #expect(second.figures.map(\.bits) == whole.figures.map(\.bits))
        }
    }

    /// A stopped run loses no row: the checkpoint has the rows that the run has not reported.
    @Test func everyRowOfTheHistoryIsReportedOnceAcrossAStop() throws {
        try TinyRun.inFolder { folder in
            let first = Log()
            _ = try TrainingRun.run(
                input(folder),
                wish: { first.lines.contains("iterated 3") ? .checkpointAndStop : .proceed }, report: first.take)
            let second = Log()
            _ = try TrainingRun.run(
                input(folder, checkpoint: #require(first.files.last).file), wish: { .proceed }, report: second.take)
            #expect((first.rows + second.rows).map(\.iteration) == Array(1...10))
        }
    }

    /// The run reports a snapshot's row even if the history has no row for its iteration. The history does not change.
    @Test func aSnapshotBetweenTheRowsOfTheHistoryHasARowOfItsOwn() throws {
        try TinyRun.inFolder { folder in
            var recipe = Self.recipe
            recipe.metricsEvery = 3
            let log = Log()
            _ = try TrainingRun.run(input(folder, recipe), wish: { .proceed }, report: log.take)
            #expect(log.figures.map(\.iteration) == [4, 8, 10])
            #expect(log.rows.map(\.iteration) == [1, 3, 4, 6, 8, 9, 10])
            #expect(log.rows.allSatisfy { $0.values[0].isFinite })
            let trainer = try Trainer(exemplar: TinyRun.exemplar(), recipe: recipe, threads: 1)
            try trainer.restore(from: #require(log.files.last { $0.kind == .checkpoint }).file)
            #expect(trainer.history.map(\.iteration) == [1, 3, 6, 9, 10])
        }
    }

    /// After a worker's process has died, the next one does not know which rows the coordinator has.
    @Test func aRunThatRepeatsItsHistoryReportsAllOfIt() throws {
        try TinyRun.inFolder { folder in
            let first = Log()
            _ = try TrainingRun.run(
                input(folder),
                wish: { first.lines.contains("iterated 3") ? .checkpointAndStop : .proceed }, report: first.take)
            let second = Log()
            var again = try input(folder, checkpoint: #require(first.files.last).file)
            again.historyArrivedUntil = 0
            _ = try TrainingRun.run(again, wish: { .proceed }, report: second.take)
            #expect(second.rows.map(\.iteration) == Array(1...10))
            // Or it repeats only the rows that have not arrived.
            let third = Log()
            again.historyArrivedUntil = 2
            _ = try TrainingRun.run(again, wish: { .proceed }, report: third.take)
            #expect(third.rows.map(\.iteration) == Array(3...10))
        }
    }

    @Test func whatWasDoneToTheExemplarsPixelsIsLogged() throws {
        try TinyRun.inFolder { folder in
            let image = TinyRun.image()
            var input = try input(folder)
            let rows: [[UInt8]] = (0..<image.height).map { y in
                (0..<image.width).flatMap { x -> [UInt8] in
                    let first = (y * image.width + x) * 3
                    return image.pixels[first..<first + 3] + [x == 3 ? 9 : 255]
                }
            }
            let fixture = PNGFixture(
                width: image.width, height: image.height, bitDepth: 8, colorType: .rgba, rows: rows)
            try fixture.encoded().write(to: folder.appendingPathComponent("exemplar"))
            input.recipe.iterations = 1
            let log = Log()
            _ = try TrainingRun.run(input, wish: { .proceed }, report: log.take)
            #expect(log.lines[0].hasPrefix("info: stripes.png: transparent pixels are laid over white"))
        }
    }

    @Test func anExemplarWhoseSnapshotsCouldNotBeReadIsRefused() throws {
        try TinyRun.inFolder { folder in
            let input = try input(folder)
            let large = PNGFixture(width: 6000, height: 4000, bitDepth: 8, colorType: .grey, rows: [])
            try large.encoded().write(to: folder.appendingPathComponent("exemplar"))
            let error = TinyRun.error {
                _ = try TrainingRun.run(input, wish: { .proceed }, report: { _ in })
            }
            #expect(error?.code == .badExemplar && error?.message.contains("--resize 5016") == true)
        }
    }

    @Test func abandoningLeavesAtOnceAndWritesNothing() throws {
        try TinyRun.inFolder { folder in
            let log = Log()
            let outcome = try TrainingRun.run(
                input(folder), wish: { log.lines.contains("iterated 2") ? .abandon : .proceed }, report: log.take)
            guard case .abandoned = outcome else {
                Issue.record("ended as \(outcome)")
                return
            }
            #expect(log.lines.last == "iterated 2" && log.files.isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["exemplar"])
        }
    }

    @Test func aFinishedCheckpointYieldsItsProductsWithoutTraining() throws {
        try TinyRun.inFolder { folder in
            let whole = Log()
            _ = try TrainingRun.run(input(folder), wish: { .proceed }, report: whole.take)
            let checkpoint = try #require(whole.files.last { $0.kind == .checkpoint }).file
            let again = Log()
            let outcome = try TrainingRun.run(
                input(folder, checkpoint: checkpoint), wish: { .proceed }, report: again.take)
            guard case .finished(10, _, _) = outcome else {
                Issue.record("ended as \(outcome)")
                return
            }
            #expect(!again.lines.contains { $0.hasPrefix("iterated") })
            #expect(again.files.map(\.kind).suffix(2) == [.generator, .discriminator])
        }
    }

    @Test func failuresAreThrownWithTheirCodeAndSayWhetherARetryHelps() throws {
        try TinyRun.inFolder { folder in
            func failure(_ input: TrainingRun.Input) -> TrainingError? {
                let patience = TrainingRun.Patience(interval: .milliseconds(1), atTheEnd: .milliseconds(5))
                return TinyRun.error {
                    _ = try TrainingRun.run(input, patience: patience, wish: { .proceed }, report: { _ in })
                }
            }
            var missing = try input(folder)
            missing.exemplar = .photograph(folder.appendingPathComponent("none.png"))
            #expect(failure(missing)?.code == .fileSystem && failure(missing)?.isRetryable == true)
            #expect(failure(missing)?.message.contains("stripes.png") == true)

            var large = try input(folder)
            large.recipe.k = 64
            #expect(failure(large)?.code == .badExemplar && failure(large)?.isRetryable == false)
            #expect(failure(large)?.message.contains("k=12") == true)

            let checkpoint = folder.appendingPathComponent("bad.safetensors")
            try Data("nonsense".utf8).write(to: checkpoint)
            let bad = try input(folder, checkpoint: checkpoint)
            #expect(failure(bad)?.code == .badCheckpoint && failure(bad)?.message.contains("bad.safetensors") == true)

            var diverging = try input(folder)
            diverging.recipe.learningRate = 1e30
            #expect(failure(diverging)?.code == .notFinite)

            var nowhere = try input(folder)
            nowhere.folder = folder.appendingPathComponent("none")
            #expect(failure(nowhere)?.code == .fileSystem && failure(nowhere)?.isRetryable == true)
        }
    }
}
