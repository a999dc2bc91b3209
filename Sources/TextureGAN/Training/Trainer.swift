import Foundation
import Imaging
import NNCore

/// The complete state of a training run. `advance` trains for one iteration.
public final class Trainer {
    public let recipe: Recipe
    public let exemplar: Exemplar
    /// The crop size for this exemplar.
    public let k: Int
    public let workspace: Workspace
    /// Completed iterations.
    public internal(set) var iteration = 0
    /// Seconds spent training, over all attempts.
    public internal(set) var trainingSeconds = 0.0
    /// CPU seconds, user and system, of the training threads over all attempts, including snapshots, their figures and
    /// files. Nil after a checkpoint of a release that did not count them. Only the thread that created the trainer may
    /// ask.
    public var cpuSeconds: Double? { earlierCPUSeconds.map { $0 + workspace.pool.cpuSeconds - startCPUSeconds } }
    /// CPU seconds of earlier attempts.
    var earlierCPUSeconds: Double? = 0
    private let startCPUSeconds: Double
    /// A row for every `metricsEvery` iterations, with the columns `columns`.
    public internal(set) var history: [TrainingRun.MetricsRow] = []
    /// Seconds by phase since the trainer was created.
    public var phaseSeconds: [String: Double] {
        Dictionary(uniqueKeysWithValues: clock.seconds.map { ($0.rawValue, $1) })
    }

    var model: AdversarialModel
    var crops: CropSampler
    var dropout: RandomStream
    private var clock = PhaseClock()
    /// The arena's peak in the first iteration, which no later one exceeds; 0 before it.
    private var stepBytes = 0

    /// The columns of the loss history.
    public static let columns = StepReport().columns.map(\.name) + ["learning_rate", "seconds_per_iteration"]

    /// The streams of a recipe's seed, one for each purpose, so that draws for one never disturb another.
    private enum Purpose: UInt32 { case generator = 1, discriminator, crops, dropout, secondDiscriminator }

    /// A run at iteration 0.
    /// - Parameters:
    ///   - features: nil uses the installed weights of the recipe's network.
    ///   - concurrentRuns: trainers that share this process and its addresses.
    /// - Throws: `TrainingError` if the exemplar is too small or feature weights are missing.
    public init(
        exemplar: Exemplar, recipe: Recipe, features: FeatureWeights? = nil, threads: Int, concurrentRuns: Int = 1
    ) throws(TrainingError) {
        self.recipe = recipe
        self.exemplar = exemplar
        let (width, height) = (exemplar.image.width, exemplar.image.height)
        k = try recipe.cropSize(forWidth: width, height: height, exemplar: exemplar.name)
        var style: VGGFeatures?
        if let network = recipe.style {
            let weights: FeatureWeights
            if let features { weights = features } else { weights = try FeatureWeights.installed(network) }
            style = try VGGFeatures(network, taps: recipe.styleTaps, input: recipe.styleInput, weights: weights)
        }
        func stream(_ purpose: Purpose) -> RandomStream {
            RandomStream(seed: recipe.seed, purpose: purpose.rawValue)
        }
        let layout = exemplar.layout
        let generator = Generator(recipe, layout, initialisedFrom: stream(.generator))
        var discriminators = [
            Discriminator(recipe, channels: layout.channels, initialisedFrom: stream(.discriminator))
        ]
        if recipe.secondDiscriminatorNorm != nil {
            discriminators.append(
                Discriminator(
                    recipe, channels: layout.channels, isSecond: true, initialisedFrom: stream(.secondDiscriminator)))
        }
        try recipe.start.load(
            generator: generator.parameters, discriminator: discriminators.flatMap(\.parameters))
        model = AdversarialModel(
            recipe: recipe, generator: generator, discriminators: discriminators, features: style)
        crops = CropSampler(k: k, width: width, height: height, stream: stream(.crops))
        dropout = stream(.dropout)
        workspace = Workspace(threads: threads, arena: Arena(sharing: concurrentRuns))
        startCPUSeconds = workspace.pool.cpuSeconds
    }

    public var generator: Generator { model.generator }
    /// The generator of snapshots and of the finished product: the averaged one if the recipe has it.
    public var usedGenerator: Generator { model.average?.generator ?? generator }
    /// Nil without a style loss.
    var features: VGGFeatures? { model.features }
    public var isFinished: Bool { iteration >= recipe.iterations }

    /// Trains for one iteration: draws the next crops, then updates each network.
    /// - Throws: `TrainingError` (notFinite) naming the loss and the iteration.
    @discardableResult
    public func advance() throws(TrainingError) -> (report: StepReport, seconds: Double) {
        let began = ContinuousClock.now
        let next = crops.next()
        let arena = workspace.arena
        let mark = arena.mark
        defer {
            arena.release(to: mark)
            if stepBytes == 0 { stepBytes = arena.peakBytes }
        }
        let target = exemplar.tensor.window(y: next.targetY, x: next.targetX, height: 2 * k, width: 2 * k, in: arena)
        let source = target.window(y: next.sourceY, x: next.sourceX, height: k, width: k, in: arena)
        let rate = recipe.learningRate(at: iteration + 1)
        let report = model.update(
            source: source, target: target, rate: rate, dropout: &dropout, clock: &clock, in: workspace)
        iteration += 1
        if !report.isFinite, let bad = report.columns.first(where: { !$0.value.isFinite }) {
            throw TrainingError(
                .notFinite,
                "\(bad.name) is \(bad.value) at iteration \(iteration): training has diverged; try a lower learning_rate "
                    + "or another seed", isRetryable: true)
        }
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        trainingSeconds += seconds
        if iteration % recipe.metricsEvery == 0 || iteration == 1 || isFinished {
            history.append(row(of: report, seconds: seconds))
        }
        return (report, seconds)
    }

    /// The row of the last iteration.
    func row(of report: StepReport, seconds: Double) -> TrainingRun.MetricsRow {
        TrainingRun.MetricsRow(
            iteration: iteration, unixSeconds: Date().timeIntervalSince1970,
            values: report.columns.map { Float($0.value) } + [recipe.learningRate(at: iteration), Float(seconds)])
    }

    struct Snapshot {
        /// What the figures measure.
        let albedo: Image
        /// What people see: all maps of a material.
        let shown: Image
    }

    /// Memory for a snapshot's features; a snapshot that needs more is computed in pieces. The same on every machine,
    /// so that the picture is the same too; far more than a step of the recipe `paper` needs.
    static let snapshotBytes = 2 << 30

    /// The whole exemplar, expanded by the current generator with the image's own statistics; a large one in pieces.
    /// Returns memory beyond the needs of training to the system.
    /// - Parameter progress: called with the finished share.
    func takeSnapshot(within limit: Int? = nil, progress: (Double) -> Void = { _ in }) -> Snapshot {
        defer { workspace.arena.returnPages(above: stepBytes) }
        // Where addresses are limited, pieces may differ in the last rounding; the whole picture would end the run.
        let limit = limit ?? min(Self.snapshotBytes, Expansion.memoryLimit(in: workspace))
        return takeSnapshot(of: exemplar, within: limit, progress: progress)
    }

    /// Expands any exemplar of the same layout.
    func takeSnapshot(of exemplar: Exemplar, within limit: Int, progress: (Double) -> Void) -> Snapshot {
        guard var material = exemplar.material else {
            let image = Expansion.snapshot(
                exemplar.image, with: usedGenerator, memoryLimit: limit, in: workspace, progress: progress)
            return Snapshot(albedo: image, shown: image)
        }
        material.pixels = Expansion.snapshot(
            material.pixels, with: usedGenerator, memoryLimit: limit, in: workspace, progress: progress)
        material.normaliseNormals()
        return Snapshot(albedo: material.albedo, shown: material.sheet)
    }

    /// Writes the complete state.
    /// - Throws: `TrainingError` (fileSystem).
    public func writeCheckpoint(to url: URL) throws(TrainingError) {
        try inFileSystem { () throws(SafetensorsError) in try Checkpoint.write(self, to: url) }
    }

    /// Restores the state of a checkpoint of the same recipe and exemplar.
    /// - Throws: `TrainingError` (badCheckpoint, damagedCheckpoint, foreignCheckpoint, fileSystem).
    public func restore(from url: URL) throws(TrainingError) { try Checkpoint.restore(self, from: url) }

    /// Writes the generator alone.
    /// - Throws: `TrainingError` (fileSystem).
    public func writeGenerator(to url: URL) throws(TrainingError) {
        try inFileSystem { () throws(SafetensorsError) in
            try Checkpoint.writeNetwork(usedGenerator.parameters, kind: "generator", trainer: self, to: url)
        }
    }

    /// Writes the discriminators alone.
    /// - Throws: `TrainingError` (fileSystem).
    public func writeDiscriminator(to url: URL) throws(TrainingError) {
        try inFileSystem { () throws(SafetensorsError) in
            try Checkpoint.writeNetwork(model.discriminatorParameters, kind: "discriminator", trainer: self, to: url)
        }
    }

    private func inFileSystem(_ body: () throws(SafetensorsError) -> Void) throws(TrainingError) {
        do {
            try body()
        } catch {
            var failure = TrainingError(.fileSystem, error.description, isRetryable: true)
            // The size of a checkpoint, the largest file of a run: with room for one, every other file fits.
            failure.neededBytes = Checkpoint.sizeBytes(of: self)
            throw failure
        }
    }
}
