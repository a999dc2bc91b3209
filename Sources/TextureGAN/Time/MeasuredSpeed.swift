import Imaging
import NNCore

/// How fast this machine trains a recipe, measured by a few iterations and snapshots on a synthetic exemplar.
public struct MeasuredSpeed: Sendable, Equatable {
    public var secondsPerIteration: Double
    /// A snapshot takes `snapshotSeconds`, plus this time for each pixel of the exemplar.
    public var snapshotSeconds: Double
    public var snapshotSecondsPerPixel: Double

    public init(secondsPerIteration: Double, snapshotSeconds: Double, snapshotSecondsPerPixel: Double) {
        self.secondsPerIteration = secondsPerIteration
        self.snapshotSeconds = snapshotSeconds
        self.snapshotSecondsPerPixel = snapshotSecondsPerPixel
    }

    public enum Clock: Sendable {
        /// Elapsed time, beside everything else that runs on this machine.
        case wall
        /// CPU time of the threads; for one thread, the time on a core of its own.
        case processor
    }

    /// The whole training of an exemplar.
    public func time(of recipe: Recipe, width: Int, height: Int) -> TrainingTime {
        TrainingTime(
            iterations: recipe.iterations, secondsPerIteration: secondsPerIteration,
            snapshots: recipe.snapshots(after: 0),
            secondsPerSnapshot: snapshotSeconds + snapshotSecondsPerPixel * Double(width * height))
    }

    /// Trains for about a second, at least three iterations, in memory that it releases.
    ///
    /// Random weights replace feature weights that are not installed: the work is the same.
    /// - Parameters:
    ///   - width: of the exemplar, which decides the crop size if the recipe does not, and how much a snapshot matters.
    ///   - layout: of the exemplar; each map of a material is more work.
    ///   - clock: of one thread, `.processor` is the better measure on a busy machine.
    /// - Throws: `TrainingError` if the exemplar is too small, or the steps diverge.
    public static func measure(
        _ recipe: Recipe, width: Int, height: Int, layout: MapLayout = .picture, threads: Int, by clock: Clock = .wall
    ) throws(TrainingError) -> MeasuredSpeed {
        var recipe = recipe
        let k = try recipe.cropSize(forWidth: width, height: height, exemplar: "the exemplar")
        recipe.k = k
        let snapshotEvery = min(recipe.snapshotEvery, recipe.iterations)
        // So that no measured iteration is the last one, or has a rate of 0.
        recipe.iterations = 1_000_000
        let weights = recipe.style.map { network in
            (try? FeatureWeights.installed(network)) ?? .random(seed: 1)
        }
        let trainer = try Trainer(
            exemplar: madeUp(width: 2 * k, height: 2 * k, layout), recipe: recipe, features: weights,
            threads: threads)
        let step = try secondsPerStep(of: trainer, by: clock)

        let pixels = Double(width * height)
        let (small, seconds) = snapshot(by: trainer, width: width, height: height, most: 16_384, clock)
        var speed = MeasuredSpeed(
            secondsPerIteration: step, snapshotSeconds: 0, snapshotSecondsPerPixel: seconds / small)
        // The constant part of the time counts as if it grew with the picture, which matters if snapshots take long.
        if pixels * speed.snapshotSecondsPerPixel > 0.1 * step * Double(snapshotEvery), pixels > small {
            let (large, more) = snapshot(by: trainer, width: width, height: height, most: 65_536, clock)
            speed.snapshotSecondsPerPixel = max(0, more - seconds) / (large - small)
            speed.snapshotSeconds = max(0, seconds - small * speed.snapshotSecondsPerPixel)
        }
        return speed
    }

    /// Iterations are timed in pairs: a recipe may skip the style loss in every second one.
    private static func secondsPerStep(of trainer: Trainer, by clock: Clock) throws(TrainingError) -> Double {
        let began = ContinuousClock.now
        var elapsed: Double { began.duration(to: .now) / .seconds(1) }
        try trainer.advance()
        // The first steps get their memory page by page. Of long steps one has to do.
        if elapsed < 0.5 { try trainer.advance() }
        var pairs: [Double] = []
        repeat {
            let start = reading(of: clock, trainer)
            try trainer.advance()
            try trainer.advance()
            pairs.append(reading(of: clock, trainer) - start)
        } while elapsed < 1 && pairs.count < 25
        // An interruption of a moment is no part of the speed.
        return pairs.sorted()[pairs.count / 2] / 2
    }

    /// Seconds of a snapshot of an exemplar of this shape, with at most about so many pixels.
    private static func snapshot(
        by trainer: Trainer, width: Int, height: Int, most: Double, _ clock: Clock
    ) -> (pixels: Double, seconds: Double) {
        let scale = min(1, (most / Double(width * height)).squareRoot())
        let exemplar = madeUp(
            width: max(8, Int(Double(width) * scale)), height: max(8, Int(Double(height) * scale)),
            trainer.exemplar.layout)
        let image = exemplar.image
        let reference = QualityReference(image, features: trainer.features, in: trainer.workspace)
        let start = reading(of: clock, trainer)
        let snapshot = trainer.takeSnapshot(of: exemplar, within: Trainer.snapshotBytes, progress: { _ in })
        _ = reference.measure(snapshot.albedo, in: trainer.workspace)
        _ = try? snapshot.shown.png()
        return (Double(image.width * image.height), reading(of: clock, trainer) - start)
    }

    private static func reading(of clock: Clock, _ trainer: Trainer) -> Double {
        switch clock {
        case .wall: origin.duration(to: .now) / .seconds(1)
        case .processor: trainer.workspace.pool.cpuSeconds
        }
    }

    private static let origin = ContinuousClock.now

    private static func madeUp(width: Int, height: Int, _ layout: MapLayout) -> Exemplar {
        let image = madeUp(width: width, height: height)
        guard layout.isMaterial else { return Exemplar(image, name: "made up") }
        var values: [UInt16] = []
        values.reserveCapacity(width * height * layout.channels)
        for pixel in 0..<width * height {
            for channel in 0..<layout.channels { values.append(257 * UInt16(image.pixels[3 * pixel + channel % 3])) }
        }
        return Exemplar(
            Material(
                name: "made up", layout: layout,
                pixels: DeepImage(width: width, height: height, channels: layout.channels, pixels: values),
                depths: layout.maps.map { _ in 8 }))
    }

    /// Blotches with grain, so that every figure has something to measure.
    static func madeUp(width: Int, height: Int) -> Image {
        var stream = RandomStream(seed: 5, purpose: 0)
        var pixels: [UInt8] = []
        pixels.reserveCapacity(width * height * 3)
        for y in 0..<height {
            for x in 0..<width {
                let grain = stream.integer(through: 63)
                for channel in 0..<3 {
                    let blotch = ((x / (5 + channel)) ^ (y / (7 - channel))) & 7
                    pixels.append(UInt8(16 + 22 * blotch + grain))
                }
            }
        }
        return Image(width: width, height: height, pixels: pixels)
    }
}
