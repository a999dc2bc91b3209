import Imaging
import NNCore

/// The figures of a run's snapshots. The exemplar is looked at when the first one comes.
final class SnapshotQuality {
    private let trainer: Trainer
    private lazy var reference = QualityReference(
        trainer.exemplar.image, features: trainer.features, in: trainer.workspace)
    /// Nil until a snapshot was measured.
    private(set) var last: QualityFigures?

    init(_ trainer: Trainer) { self.trainer = trainer }

    func measure(_ snapshot: Image) -> QualityFigures {
        let figures = reference.measure(snapshot, in: trainer.workspace)
        last = figures
        return figures
    }
}
