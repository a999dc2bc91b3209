import ClusterCore
import Synchronization

/// What the worker asks of one attempt's trainer now. The worker's thread sets it, the trainer's thread reads it.
final class CurrentWish: Sendable {
    private let wish = Mutex(TrainerWish.proceed)

    var value: TrainerWish { wish.withLock { $0 } }

    func set(_ wish: TrainerWish) {
        // Nothing reverses `abandon`.
        self.wish.withLock { if $0 != .abandon { $0 = wish } }
    }
}
