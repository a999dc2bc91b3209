import Imaging
import NNCore

/// The figures of a run's snapshots. The first snapshot computes the exemplar's statistics.
final class SnapshotQuality {
    private let trainer: Trainer
    private lazy var reference = QualityReference(
        trainer.exemplar.image, features: trainer.features, in: trainer.workspace)
    /// Nil before the first snapshot.
    private(set) var last: QualityFigures?

    init(_ trainer: Trainer) { self.trainer = trainer }

    func measure(_ snapshot: Image) -> QualityFigures {
        let figures = reference.measure(snapshot, in: trainer.workspace)
        last = figures
        return figures
    }
}
