import CAllocationCount
import Foundation
import NNCore
import Synchronization
import Testing

@testable import TextureGAN

/// A training step takes all its memory from the arena. After the first step, the arena has enough.
///
/// The test counts heap allocations and page faults of the training thread and its pool's threads over whole
/// iterations: crops, both networks' updates, the report. Rows of the loss history, snapshots and checkpoints come only
/// every so many iterations, and may allocate.
@Suite(.enabled(if: texloom_counts_allocations(), "allocations are counted with glibc, without sanitizers"))
struct SteadyStepTests {
    /// Recipes that together run every kernel of training in all its directions.
    enum Case: String, CaseIterable {
        /// 7x7, 3x3 of stride 1 and 2, transposed 3x3, 4x4 of stride 1 and 2, VGG with pooling, dropout; odd sizes.
        case small
        /// The kernels for real sizes.
        case draft
        /// The other settings: instance norm, nearest upsampling, zero padding, least squares, and too few channels for
        /// most kernels.
        case others
        /// No norms, spectral normalisation, averaged weights.
        case normless

        var recipe: Recipe {
            var recipe = self == .draft ? Recipe.draft : TinyRun.recipe
            switch self {
            case .small:
                recipe.generatorWidth = 8
                recipe.discriminatorWidth = 8
            case .draft: break
            case .others:
                recipe.generatorWidth = 1
                recipe.norm = .instance
                recipe.upsample = .nearest
                recipe.adversarial = .lsgan
                recipe.styleInput = .torchvision
            case .normless:
                recipe.generatorWidth = 8
                recipe.discriminatorWidth = 8
                recipe.norm = .without
                recipe.discriminatorNorm = .spectral
                recipe.upsample = .nearest
                recipe.adversarial = .hinge
                recipe.ema = 0.9
            }
            recipe.metricsEvery = 1000
            return recipe
        }
    }

    @Test(arguments: Case.allCases, [1, 2, 3])
    func aSteadyStepAllocatesNothing(_ name: Case, threads: Int) throws {
        let image = TinyRun.image(width: 71, height: 67)
        let trainer = try Trainer(
            exemplar: Exemplar(image, name: "stripes.png"), recipe: name.recipe, features: .random(seed: 3),
            threads: threads)
        let usage = ThreadUsage(of: trainer.workspace.pool)
        // The first iteration grows the arena, starts BLAS's buffers and writes a row of the history.
        try trainer.advance(by: 3)
        let peak = trainer.workspace.arena.peakBytes
        var fewestFaults = Int.max
        for _ in 0..<3 {
            let before = usage.read()
            try trainer.advance(by: 2)
            let after = usage.read()
            #expect(after.allocations - before.allocations == 0)
            fewestFaults = min(fewestFaults, after.pageFaults - before.pageFaults)
        }
        // The system itself sometimes moves a page. A step that takes new pages does so every time.
        #expect(fewestFaults == 0)
        #expect(trainer.workspace.arena.peakBytes == peak)
    }

    @Test("The count sees arrays and closures on every thread of a pool", arguments: [1, 2, 3])
    func theCountSeesAllocations(threads: Int) {
        let pool = ThreadPool(threads: threads)
        let usage = ThreadUsage(of: pool)
        let before = usage.read()
        usage.onEveryThread { lane in
            let array = [Int](repeating: lane, count: 100)
            #expect(array.reduce(0, +) == 100 * lane)
        }
        #expect(usage.read().allocations - before.allocations >= threads)
    }
}

/// What the threads of a pool have taken from the system. Reading it allocates nothing.
private final class ThreadUsage {
    private let pool: ThreadPool
    private let arrived = Atomic<Int>(0)
    private var meetings = 0
    private let allocations = Atomic<Int>(0)
    private let pageFaults = Atomic<Int>(0)

    init(of pool: ThreadPool) { self.pool = pool }

    func read() -> (allocations: Int, pageFaults: Int) {
        allocations.store(0, ordering: .relaxed)
        pageFaults.store(0, ordering: .relaxed)
        onEveryThread { _ in
            allocations.add(texloom_allocations(), ordering: .relaxed)
            pageFaults.add(texloom_page_faults(), ordering: .relaxed)
        }
        return (allocations.load(ordering: .relaxed), pageFaults.load(ordering: .relaxed))
    }

    /// Runs `body` once on each thread: every thread that has a block waits until the others have theirs.
    func onEveryThread(_ body: (_ lane: Int) -> Void) {
        meetings += 1
        let all = meetings * pool.threads
        pool.run(blocks: pool.threads) { _, lane in
            arrived.add(1, ordering: .sequentiallyConsistent)
            while arrived.load(ordering: .sequentiallyConsistent) < all { sched_yield() }
            body(lane)
        }
    }
}
