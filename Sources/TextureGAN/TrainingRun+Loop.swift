import Base
import Foundation
import Imaging
import NNCore
import OperatingSystem

extension TrainingRun {
    /// Runs to the end, or until `wish` says otherwise.
    ///
    /// Reports come on the calling thread and hold training up while they are taken. A snapshot at iteration 0 is not
    /// reported; the last iteration always comes with a snapshot and a checkpoint. While the disk takes no files
    /// training goes on; the last files are waited for.
    /// - Parameter wish: asked after every iteration.
    /// - Throws: `TrainingError`; its `isRetryable` says whether another attempt may fare better.
    public static func run(
        _ input: Input, wish: () -> Wish, report: (Report) -> Void
    ) throws(TrainingError) -> Outcome {
        try run(input, patience: Patience(), wish: wish, report: report)
    }

    static func run(
        _ input: Input, patience: Patience, wish: () -> Wish, report: (Report) -> Void
    ) throws(TrainingError) -> Outcome {
        let recipe = input.recipe
        let exemplar: Exemplar
        let notes: [DecodedImage.Note]
        do {
            let decoded = try DecodedImage(try readExemplar(input), name: input.exemplarName, limits: .exemplar)
            exemplar = Exemplar(decoded.image, name: input.exemplarName)
            notes = decoded.notes
        } catch let error as TrainingError {
            throw error
        } catch {
            throw TrainingError(.badExemplar, "\(error)")
        }
        let trainer = try Trainer(
            exemplar: exemplar, recipe: recipe, threads: input.threads, concurrentRuns: input.concurrentRuns)
        if let checkpoint = input.checkpoint { try trainer.restore(from: checkpoint) }
        for note in notes { report(.log(level: .info, message: "\(input.exemplarName): \(note)")) }
        report(.log(level: .info, message: describe(trainer, input)))
        report(.started(iteration: trainer.iteration, totalIterations: recipe.iterations))

        var reportedRows =
            trainer.history.firstIndex { $0.iteration > input.historyArrivedUntil } ?? trainer.history.count
        let quality = SnapshotQuality(trainer)
        func file(_ name: String, _ pathExtension: String) -> URL {
            input.folder.appendingPathComponent(name).appendingPathExtension(pathExtension)
        }
        func reportMetrics() {
            if reportedRows == trainer.history.count { return }
            report(.metrics(columns: Trainer.columns, rows: Array(trainer.history[reportedRows...])))
            reportedRows = trainer.history.count
        }
        // The row of a snapshot has its figures as well. They are no part of the history: training knows nothing of them.
        func reportMetrics(with figures: QualityFigures, of last: MetricsRow) {
            if trainer.history.last?.iteration == last.iteration {
                let earlier = trainer.history[reportedRows...].dropLast()
                if !earlier.isEmpty { report(.metrics(columns: Trainer.columns, rows: Array(earlier))) }
                reportedRows = trainer.history.count
            } else {
                reportMetrics()
            }
            var row = last
            row.values += figures.values
            report(.metrics(columns: Trainer.columns + QualityFigures.columns, rows: [row]))
        }
        /// Of the newest checkpoint that there is. The same state is not written twice: its file may be under way.
        var checkpointed = input.checkpoint == nil ? nil : trainer.iteration
        // A run resumed from a checkpoint takes the rows in it for reported, so they are, before the checkpoint is.
        func reportCheckpoint() throws(TrainingError) {
            guard checkpointed != trainer.iteration else { return }
            reportMetrics()
            let url = file("checkpoint-\(trainer.iteration)", "safetensors")
            try trainer.writeCheckpoint(to: url)
            checkpointed = trainer.iteration
            report(.artifact(.checkpoint, iteration: trainer.iteration, file: url))
        }
        func computeSnapshot() -> Image {
            // A large picture takes longer than an iteration may: whoever watches has to see that it gets on.
            var lastSign = ContinuousClock.now
            return trainer.snapshot { share in
                guard lastSign.duration(to: .now) >= patience.betweenSigns else { return }
                lastSign = .now
                report(.log(level: .info, message: "snapshot of iteration \(trainer.iteration): \(Int(100 * share)) %"))
            }
        }
        func reportSnapshot(_ snapshot: Image) throws(TrainingError) {
            let url = file("snapshot-\(trainer.iteration)", "png")
            do {
                try snapshot.png().write(to: url, options: .atomic)
            } catch {
                throw TrainingError(.fileSystem, "cannot write \(url.path): \(error.systemReason)", isRetryable: true)
            }
            report(.artifact(.snapshot, iteration: trainer.iteration, file: url))
        }

        func say(_ error: TrainingError, _ consequence: String) {
            report(.log(level: .error, message: "\(error.message); \(consequence)"))
        }
        /// Tries until the disk takes a file; false as soon as the wish is one of those that end it.
        func insist(
            within limit: Duration, unless endings: Set<Wish>, _ write: () throws(TrainingError) -> Void
        ) throws(TrainingError) -> Bool {
            let began = ContinuousClock.now
            var hasSaid = false
            while true {
                do {
                    try write()
                    return true
                } catch {
                    guard error.code == .fileSystem, began.duration(to: .now) < limit else { throw error }
                    if !hasSaid { say(error, "waiting for the disk") }
                    hasSaid = true
                }
                let next = ContinuousClock.now + patience.interval
                while ContinuousClock.now < next {
                    if endings.contains(wish()) { return false }
                    Thread.sleep(forTimeInterval: 0.02)
                }
            }
        }
        /// Leaves with a checkpoint if the disk takes one soon.
        func stop() throws(TrainingError) -> Outcome {
            if wish() == .abandon { return .abandoned }
            do {
                guard try insist(within: patience.whenStopping, unless: [.abandon], reportCheckpoint) else {
                    return .abandoned
                }
            } catch {
                say(error, "stopping without a checkpoint of iteration \(trainer.iteration)")
                return .abandoned
            }
            return .stopped(iteration: trainer.iteration)
        }
        /// The last files are waited for, but not by a run that is to stop.
        func insistAtTheEnd(_ write: () throws(TrainingError) -> Void) throws(TrainingError) -> Bool {
            try insist(within: patience.atTheEnd, unless: [.abandon, .checkpointAndStop], write)
        }
        /// When a checkpoint that could not be written is tried again.
        var overdue: ContinuousClock.Instant?

        while !trainer.isFinished {
            switch wish() {
            case .proceed: break
            case .abandon: return .abandoned
            case .checkpointAndStop: return try stop()
            }
            let (step, seconds) = try trainer.advance()
            report(.iterated(iteration: trainer.iteration, secondsPerIteration: seconds))
            let isLast = trainer.isFinished
            // Rows go out a few at a time: often enough to watch, rarely enough to cost nothing.
            if isLast || trainer.iteration % recipe.snapshotEvery == 0 {
                let snapshot = computeSnapshot()
                reportMetrics(with: quality.measure(snapshot), of: trainer.row(of: step, seconds: seconds))
                if isLast {
                    guard try insistAtTheEnd({ () throws(TrainingError) in try reportSnapshot(snapshot) }),
                        try insistAtTheEnd(reportCheckpoint)
                    else { return try stop() }
                    break
                }
                do { try reportSnapshot(snapshot) } catch { say(error, "training goes on without this snapshot") }
            } else if trainer.history.count - reportedRows >= 10 {
                reportMetrics()
            }
            guard trainer.iteration % recipe.checkpointEvery == 0 || overdue.map({ $0 <= .now }) ?? false else {
                continue
            }
            do {
                try reportCheckpoint()
                overdue = nil
            } catch {
                if overdue == nil { say(error, "training goes on, and the checkpoint is tried again") }
                overdue = .now + patience.interval
            }
        }
        let products: [(ArtifactKind, (URL) throws(TrainingError) -> Void)] = [
            (.generator, { (url) throws(TrainingError) in try trainer.writeGenerator(to: url) }),
            (.discriminator, { (url) throws(TrainingError) in try trainer.writeDiscriminator(to: url) }),
        ]
        for (kind, write) in products {
            let url = file(kind.rawValue, "safetensors")
            guard try insistAtTheEnd({ () throws(TrainingError) in try write(url) }) else { return try stop() }
            report(.artifact(kind, iteration: trainer.iteration, file: url))
        }
        return .finished(
            iteration: trainer.iteration, trainingSeconds: trainer.trainingSeconds,
            reportJSON: summary(trainer, input, quality.last ?? quality.measure(computeSnapshot())))
    }

    private static func readExemplar(_ input: Input) throws(TrainingError) -> Data {
        do {
            return try Data(contentsOf: input.exemplar)
        } catch {
            throw TrainingError(
                .badExemplar, "\(input.exemplarName) cannot be read: \(error.systemReason)", isRetryable: true)
        }
    }

    private static func describe(_ trainer: Trainer, _ input: Input) -> String {
        let recipe = trainer.recipe
        let image = trainer.exemplar.image
        let start = trainer.iteration > 0 ? ", resumed at iteration \(trainer.iteration)" : ""
        let style =
            recipe.style.map { "\($0.rawValue) (\(recipe.styleInput.rawValue) input)" }
            ?? "off, so without quality_gram"
        return "training \(input.exemplarName) (\(image.width)x\(image.height)) with recipe '\(recipe.name)': "
            + "k=\(trainer.k), \(recipe.iterations) iterations, style \(style), \(input.threads) \(input.threads == 1 ? "thread" : "threads")\(start)"
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
        var cpuSeconds: Double?
        var threads: Int
        /// Which features the style loss compared; "off" if none.
        var featureWeights: String
        var featureInput: String
        var losses: [String: Float]
        /// The figures of the last snapshot, as far as they could be measured.
        var quality: [String: Float]
        /// What they come to, in words.
        var verdict: String
    }

    private static func summary(_ trainer: Trainer, _ input: Input, _ quality: QualityFigures) -> String {
        let last = trainer.history.last?.values ?? []
        let summary = Summary(
            software: "texloom \(texloomVersion)", recipe: trainer.recipe.name, seed: trainer.recipe.seed, k: trainer.k,
            exemplar: input.exemplarName, exemplarWidth: trainer.exemplar.image.width,
            exemplarHeight: trainer.exemplar.image.height, iterations: trainer.iteration,
            trainingSeconds: trainer.trainingSeconds, cpuSeconds: trainer.cpuSeconds, threads: input.threads,
            featureWeights: trainer.recipe.style?.rawValue ?? "off",
            featureInput: trainer.recipe.style == nil ? "off" : trainer.recipe.styleInput.rawValue,
            losses: Dictionary(uniqueKeysWithValues: zip(Trainer.columns, last)),
            quality: Dictionary(uniqueKeysWithValues: quality.measured.map { ($0.key.rawValue, $0.value) }),
            verdict: QualityVerdict(quality).description)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        // All values are finite: a run that meets another stops.
        return String(decoding: (try? encoder.encode(summary)) ?? Data("{}".utf8), as: UTF8.self)
    }
}
