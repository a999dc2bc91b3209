import Base
import Foundation
import Imaging
import NNCore
import OperatingSystem

/// The loop of a training run: iterations, metrics, snapshots and checkpoints until the end, or until the owner wishes
/// otherwise.
///
/// A full disk does not stop it: snapshots are skipped and checkpoints retried, and at the end it waits for space.
final class TrainingLoop {
    private let input: TrainingRun.Input
    private let trainer: Trainer
    private let patience: TrainingRun.Patience
    private let wish: () -> TrainingRun.Wish
    private let report: (TrainingRun.Report) -> Void
    private let quality: SnapshotQuality
    /// Rows of the history before this index are reported.
    private var reportedRows: Int
    /// The iteration of the newest checkpoint. No state is written twice: its first file may still be in transfer.
    private var checkpointed: Int?
    /// When to retry a checkpoint that the disk refused; nil if none is missing.
    private var checkpointRetry: ContinuousClock.Instant?

    init(
        _ input: TrainingRun.Input, _ trainer: Trainer, _ patience: TrainingRun.Patience,
        wish: @escaping () -> TrainingRun.Wish, report: @escaping (TrainingRun.Report) -> Void
    ) {
        self.input = input
        self.trainer = trainer
        self.patience = patience
        self.wish = wish
        self.report = report
        quality = SnapshotQuality(trainer)
        reportedRows = trainer.history.firstIndex { $0.iteration > input.historyArrivedUntil } ?? trainer.history.count
        checkpointed = input.checkpoint == nil ? nil : trainer.iteration
    }

    func run() throws(TrainingError) -> TrainingRun.Outcome {
        while !trainer.isFinished {
            switch wish() {
            case .proceed: break
            case .abandon: return .abandoned
            case .checkpointAndStop: return try stop()
            }
            let row = try iterate()
            if trainer.isFinished {
                guard try writeLastFiles(row) else { return try stop() }
            } else {
                reportProgress(row)
                writeDueCheckpoint()
            }
        }
        guard try writeProducts() else { return try stop() }
        return .finished(
            iteration: trainer.iteration, trainingSeconds: trainer.trainingSeconds,
            reportJSON: TrainingRun.summary(trainer, input, quality.last ?? quality.measure(computeSnapshot().albedo)))
    }

    // MARK: Steps

    /// Trains for one iteration and returns its row of metrics, whether or not the history keeps it.
    private func iterate() throws(TrainingError) -> TrainingRun.MetricsRow {
        let (step, seconds) = try trainer.advance()
        report(.iterated(iteration: trainer.iteration, secondsPerIteration: seconds))
        return trainer.row(of: step, seconds: seconds)
    }

    /// A snapshot where one is due; otherwise rows of metrics, ten at a time: often enough to watch, rarely enough to
    /// cost nothing.
    private func reportProgress(_ row: TrainingRun.MetricsRow) {
        if trainer.iteration % trainer.recipe.snapshotEvery == 0 {
            let snapshot = measuredSnapshot(row)
            do { try write(snapshot) } catch { log(error, "training continues without this snapshot") }
        } else if trainer.history.count - reportedRows >= 10 {
            reportMetrics()
        }
    }

    private func writeDueCheckpoint() {
        let isDue = trainer.iteration % trainer.recipe.checkpointEvery == 0
        guard isDue || checkpointRetry.map({ $0 <= .now }) ?? false else { return }
        do {
            try writeCheckpoint()
            checkpointRetry = nil
        } catch {
            if checkpointRetry == nil { log(error, "training continues, and the checkpoint will be retried") }
            checkpointRetry = .now + patience.interval
        }
    }

    /// The snapshot and the checkpoint of the last iteration.
    /// - Returns: false if the owner wishes to stop before the disk takes both.
    private func writeLastFiles(_ row: TrainingRun.MetricsRow) throws(TrainingError) -> Bool {
        let snapshot = measuredSnapshot(row)
        guard try retryAtTheEnd({ () throws(TrainingError) in try write(snapshot) }) else { return false }
        return try retryAtTheEnd(writeCheckpoint)
    }

    /// - Returns: false if the owner wishes to stop before the disk takes both networks.
    private func writeProducts() throws(TrainingError) -> Bool {
        for kind in [TrainingRun.ArtifactKind.generator, .discriminator] {
            let url = file(kind.rawValue, "safetensors")
            let isWritten = try retryAtTheEnd { () throws(TrainingError) in
                if kind == .generator {
                    try trainer.writeGenerator(to: url)
                } else {
                    try trainer.writeDiscriminator(to: url)
                }
            }
            guard isWritten else { return false }
            report(.artifact(kind, iteration: trainer.iteration, file: url))
        }
        return true
    }

    /// Leaves with a checkpoint if the disk takes one soon.
    private func stop() throws(TrainingError) -> TrainingRun.Outcome {
        if wish() == .abandon { return .abandoned }
        do {
            guard try retry(within: patience.whenStopping, unless: [.abandon], writeCheckpoint) else {
                return .abandoned
            }
        } catch {
            log(error, "stopping without a checkpoint of iteration \(trainer.iteration)")
            return .abandoned
        }
        return .stopped(iteration: trainer.iteration)
    }

    // MARK: Metrics

    private func reportMetrics() {
        if reportedRows == trainer.history.count { return }
        report(.metrics(columns: Trainer.columns, rows: Array(trainer.history[reportedRows...])))
        reportedRows = trainer.history.count
    }

    /// Reports the rows so far, the last one with a snapshot's figures. The history itself never has figures: training
    /// does not depend on them.
    private func reportMetrics(with figures: QualityFigures, of last: TrainingRun.MetricsRow) {
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

    private func log(_ error: TrainingError, _ consequence: String) {
        report(.log(level: .error, message: "\(error.message); \(consequence)"))
    }

    // MARK: Snapshots and checkpoints

    /// Computes a snapshot and reports its figures.
    private func measuredSnapshot(_ row: TrainingRun.MetricsRow) -> Trainer.Snapshot {
        let snapshot = computeSnapshot()
        reportMetrics(with: quality.measure(snapshot.albedo), of: row)
        return snapshot
    }

    /// A large picture takes longer than an iteration may, so its progress is logged: the owner has to see that the run
    /// is alive.
    private func computeSnapshot() -> Trainer.Snapshot {
        var lastSign = ContinuousClock.now
        return trainer.takeSnapshot { share in
            guard lastSign.duration(to: .now) >= patience.betweenSigns else { return }
            lastSign = .now
            let done = Readable.wholePercent(share)
            report(.log(level: .info, message: "snapshot of iteration \(trainer.iteration): \(done) %"))
        }
    }

    private func write(_ snapshot: Trainer.Snapshot) throws(TrainingError) {
        let url = file("snapshot-\(trainer.iteration)", "png")
        do {
            try snapshot.shown.png().write(to: url, options: .atomic)
        } catch {
            throw TrainingError(.fileSystem, "cannot write \(url.path): \(error.systemReason)", isRetryable: true)
        }
        report(.artifact(.snapshot, iteration: trainer.iteration, file: url))
    }

    /// Reports the rows of the history first: a run that resumes from the checkpoint takes all its rows for reported.
    private func writeCheckpoint() throws(TrainingError) {
        guard checkpointed != trainer.iteration else { return }
        reportMetrics()
        let url = file("checkpoint-\(trainer.iteration)", "safetensors")
        try trainer.writeCheckpoint(to: url)
        checkpointed = trainer.iteration
        report(.artifact(.checkpoint, iteration: trainer.iteration, file: url))
    }

    private func file(_ name: String, _ pathExtension: String) -> URL {
        input.folder.appendingPathComponent(name).appendingPathExtension(pathExtension)
    }

    // MARK: A disk that refuses files

    /// The last files are worth a long wait, except in a run that is asked to stop.
    private func retryAtTheEnd(_ write: () throws(TrainingError) -> Void) throws(TrainingError) -> Bool {
        try retry(within: patience.atTheEnd, unless: [.abandon, .checkpointAndStop], write)
    }

    /// Repeats `write` until the disk takes the file.
    /// - Returns: false as soon as the owner has one of the wishes `endings`.
    /// - Throws: what `write` throws, once `limit` is over or at once if the disk is not the cause.
    private func retry(
        within limit: Duration, unless endings: Set<TrainingRun.Wish>, _ write: () throws(TrainingError) -> Void
    ) throws(TrainingError) -> Bool {
        let began = ContinuousClock.now
        var isFirst = true
        while true {
            do {
                try write()
                return true
            } catch {
                guard error.code == .fileSystem, began.duration(to: .now) < limit else { throw error }
                if isFirst { log(error, "waiting for the disk") }
                isFirst = false
            }
            let next = ContinuousClock.now + patience.interval
            while ContinuousClock.now < next {
                if endings.contains(wish()) { return false }
                Thread.sleep(forTimeInterval: 0.02)
            }
        }
    }
}
