import Foundation
import Imaging
import NNCore

extension TrainingRun {
    /// Runs to the end, or until `wish` says otherwise.
    ///
    /// Reports come on the calling thread and hold training up while they are taken. A snapshot at iteration 0 is not
    /// reported; the last iteration always comes with a snapshot and a checkpoint.
    /// - Parameter wish: asked after every iteration.
    /// - Throws: `TrainingError`; its `isRetryable` says whether another attempt may fare better.
    public static func run(
        _ input: Input, wish: () -> Wish, report: (Report) -> Void
    ) throws(TrainingError) -> Outcome {
        let recipe = input.recipe
        let exemplar: Exemplar
        do {
            exemplar = Exemplar(
                try Image(decoding: try readExemplar(input), name: input.exemplarName), name: input.exemplarName)
        } catch let error as TrainingError {
            throw error
        } catch {
            throw TrainingError(.badExemplar, "\(error)")
        }
        let trainer = try Trainer(exemplar: exemplar, recipe: recipe, threads: input.threads)
        if let checkpoint = input.checkpoint { try trainer.restore(from: checkpoint) }
        report(.log(level: .info, message: describe(trainer, input)))
        report(.started(iteration: trainer.iteration, totalIterations: recipe.iterations))

        var reportedRows = trainer.history.count
        func file(_ name: String, _ pathExtension: String) -> URL {
            input.folder.appendingPathComponent(name).appendingPathExtension(pathExtension)
        }
        func reportMetrics() {
            if reportedRows == trainer.history.count { return }
            report(.metrics(columns: Trainer.columns, rows: Array(trainer.history[reportedRows...])))
            reportedRows = trainer.history.count
        }
        // A run resumed from a checkpoint takes the rows in it for reported, so they are, before the checkpoint is.
        func reportCheckpoint() throws(TrainingError) {
            reportMetrics()
            let url = file("checkpoint-\(trainer.iteration)", "safetensors")
            try trainer.writeCheckpoint(to: url)
            report(.artifact(.checkpoint, iteration: trainer.iteration, file: url))
        }
        func reportSnapshot() throws(TrainingError) {
            let url = file("snapshot-\(trainer.iteration)", "png")
            do {
                try trainer.snapshot().png().write(to: url, options: .atomic)
            } catch {
                throw TrainingError(.fileSystem, "cannot write \(url.path): \(error)", isRetryable: true)
            }
            report(.artifact(.snapshot, iteration: trainer.iteration, file: url))
        }

        while !trainer.isFinished {
            switch wish() {
            case .proceed: break
            case .abandon: return .abandoned
            case .checkpointAndStop:
                try reportCheckpoint()
                return .stopped(iteration: trainer.iteration)
            }
            let (_, seconds) = try trainer.advance()
            report(.iterated(iteration: trainer.iteration, secondsPerIteration: seconds))
            let isLast = trainer.isFinished
            // Rows go out a few at a time: often enough to watch, rarely enough to cost nothing.
            let showsSnapshot = isLast || trainer.iteration % recipe.snapshotEvery == 0
            if showsSnapshot || trainer.history.count - reportedRows >= 10 { reportMetrics() }
            if showsSnapshot { try reportSnapshot() }
            if isLast || trainer.iteration % recipe.checkpointEvery == 0 { try reportCheckpoint() }
        }
        let generator = file("generator", "safetensors")
        try trainer.writeGenerator(to: generator)
        report(.artifact(.generator, iteration: trainer.iteration, file: generator))
        let discriminator = file("discriminator", "safetensors")
        try trainer.writeDiscriminator(to: discriminator)
        report(.artifact(.discriminator, iteration: trainer.iteration, file: discriminator))
        return .finished(
            iteration: trainer.iteration, trainingSeconds: trainer.trainingSeconds, reportJSON: summary(trainer, input))
    }

    private static func readExemplar(_ input: Input) throws(TrainingError) -> Data {
        do {
            return try Data(contentsOf: input.exemplar)
        } catch {
            throw TrainingError(
                .badExemplar, "\(input.exemplarName) cannot be read: \(error.localizedDescription)", isRetryable: true)
        }
    }

    private static func describe(_ trainer: Trainer, _ input: Input) -> String {
        let recipe = trainer.recipe
        let image = trainer.exemplar.image
        let start = trainer.iteration > 0 ? ", resumed at iteration \(trainer.iteration)" : ""
        let style = recipe.style.map { "\($0.rawValue) (\(recipe.styleInput.rawValue) input)" } ?? "off"
        return "training \(input.exemplarName) (\(image.width)x\(image.height)) with recipe '\(recipe.name)': "
            + "k=\(trainer.k), \(recipe.iterations) iterations, style \(style), \(input.threads) threads\(start)"
    }

    /// What result.json says of the run.
    private struct Summary: Encodable {
        var software: String
        var recipe: String
        var seed: UInt64
        var k: Int
        var exemplar: String
        var exemplarWidth: Int
        var exemplarHeight: Int
        var iterations: Int
        var trainingSeconds: Double
        var threads: Int
        /// Which features the style loss compared; "off" if none.
        var featureWeights: String
        var featureInput: String
        var losses: [String: Float]
    }

    private static func summary(_ trainer: Trainer, _ input: Input) -> String {
        let last = trainer.history.last?.values ?? []
        let summary = Summary(
            software: "texloom \(texloomVersion)", recipe: trainer.recipe.name, seed: trainer.recipe.seed, k: trainer.k,
            exemplar: input.exemplarName, exemplarWidth: trainer.exemplar.image.width,
            exemplarHeight: trainer.exemplar.image.height, iterations: trainer.iteration,
            trainingSeconds: trainer.trainingSeconds, threads: input.threads,
            featureWeights: trainer.recipe.style?.rawValue ?? "off",
            featureInput: trainer.recipe.style == nil ? "off" : trainer.recipe.styleInput.rawValue,
            losses: Dictionary(uniqueKeysWithValues: zip(Trainer.columns, last)))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        // All values are finite: a run that meets another stops.
        return String(decoding: (try? encoder.encode(summary)) ?? Data("{}".utf8), as: UTF8.self)
    }
}
