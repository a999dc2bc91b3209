import ArgumentParser
import Foundation
import Imaging
import Machine
import NNCore
import TextureGAN

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Times training steps and expansions on this machine.",
        subcommands: [BenchStepCommand.self, BenchExpandCommand.self])
}

/// Seconds of phases and losses of a training step.
struct BenchStepCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "step", abstract: "Times iterations of a recipe on noise.",
        discussion: "Without installed feature weights it uses random ones: the work is the same.")

    @OptionGroup var recipeOptions: RecipeOptions

    @Option(help: "Threads. Default: TEXLOOM_THREADS, or one for each processor that may be used.")
    var threads: Int?

    @Option(help: "Iterations to time, after two that warm up.")
    var iterations = 10

    @Flag(help: "Print JSON.")
    var json = false

    private struct Report: Encodable {
        var recipe: String
        var k: Int
        var threads: Int
        /// The vector instructions of the kernels.
        var instructions: String
        var iterations: Int
        /// Median.
        var secondsPerIteration: Double
        var fastestSecondsPerIteration: Double
        /// Means over the iterations.
        var phaseSeconds: [String: Double]
        var peakRSSMiB: Double
        var arenaMiB: Double
        var featureWeights: String
        /// Of the last iteration.
        var losses: [String: Double]
    }

    func validate() throws {
        guard iterations >= 1 else { throw ValidationError("--iterations: expected 1 or more") }
        try requireThreads(threads)
    }

    func run() throws {
        let recipe = try recipeOptions.resolve()
        let side = max(2 * (recipe.k ?? 128) + 64, 256)
        let exemplar = Exemplar(noise(side: side), name: "noise")
        var weights: FeatureWeights?
        var weightsName = "off"
        if let network = recipe.style {
            weights = (try? FeatureWeights.installed(network)) ?? .random(seed: 1)
            if case .random = weights { weightsName = "random" } else { weightsName = network.rawValue }
        }
        let count = try chosenThreads(threads)
        let trainer = try Trainer(exemplar: exemplar, recipe: recipe, features: weights, threads: count)
        for _ in 0..<2 { try trainer.advance() }
        let before = trainer.phaseSeconds
        var seconds: [Double] = []
        var losses: [String: Double] = [:]
        for _ in 0..<iterations {
            let step = try trainer.advance()
            seconds.append(step.seconds)
            losses = Dictionary(uniqueKeysWithValues: step.report.columns.map { ($0.name, $0.value) })
        }
        let phases = trainer.phaseSeconds.reduce(into: [String: Double]()) { result, phase in
            result[phase.key] = (phase.value - (before[phase.key] ?? 0)) / Double(iterations)
        }
        let report = Report(
            recipe: recipe.name, k: trainer.k, threads: count,
            instructions: VectorInstructions.current.rawValue, iterations: iterations,
            secondsPerIteration: median(seconds), fastestSecondsPerIteration: seconds.min() ?? 0, phaseSeconds: phases,
            peakRSSMiB: peakResidentMiB(), arenaMiB: Double(trainer.workspace.arena.peakBytes) / 1048576,
            featureWeights: weightsName, losses: losses)
        if json { return try sayJSON(report) }
        say(
            String(
                format: "%@: %.4f s per iteration (median; fastest %.4f), peak memory %.0f MiB, %d threads, %@",
                recipe.name, report.secondsPerIteration, report.fastestSecondsPerIteration, report.peakRSSMiB, count,
                report.instructions))
        for (phase, seconds) in phases.sorted(by: { $0.value > $1.value }) {
            say("  \(phase.padding(toLength: 14, withPad: " ", startingAt: 0)) \(String(format: "%.4f", seconds)) s")
        }
    }
}

/// Seconds of an expansion.
struct BenchExpandCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "expand", abstract: "Times the doubling of a square image by a fresh generator.",
        discussion: "Without --recipe, the generator is that of paper.")

    @Option(help: "Side of the input in pixels.")
    var size = 512

    @OptionGroup var recipeOptions: RecipeOptions

    @Option(help: "Threads. Default: TEXLOOM_THREADS, or one for each processor that may be used.")
    var threads: Int?

    @Option(help: "Expansions to time, after one that warms up.")
    var repeats = 3

    @Option(help: "image or running, as in 'texloom expand'.")
    var statistics = NormStatistics.image

    @Option(help: "MiB of memory for the whole process, as in 'texloom expand'.")
    var memory: Int?

    @Flag(help: "Print JSON.")
    var json = false

    private struct Report: Encodable {
        var size: Int
        var threads: Int
        var instructions: String
        /// Median.
        var seconds: Double
        var peakRSSMiB: Double
    }

    func validate() throws {
        guard (1...16384).contains(size) else { throw ValidationError("--size: expected 1 to 16384") }
        try requireThreads(threads)
        try requireMemory(memory)
        guard repeats >= 1 else { throw ValidationError("--repeats: expected 1 or more") }
    }

    func run() throws {
        var options = recipeOptions
        options.recipe = options.recipe ?? "paper"
        let recipe = try options.resolve()
        let generator = Generator(recipe, initialisedFrom: RandomStream(seed: 1, purpose: 0), trained: false)
        try statistics.require(of: generator, named: "a generator of recipe '\(recipe.name)'")
        let count = try chosenThreads(threads)
        let expander = PictureExpander(
            generator: generator, statistics: statistics, axes: nil, memoryMiB: memory,
            availableBytes: MachineAllowance.current.memoryBytes,
            workspace: Workspace(threads: count))
        let image = noise(side: size)
        var seconds: [Double] = []
        for index in 0...repeats {
            let began = ContinuousClock.now
            _ = try expander.doubled(image)
            if index > 0 { seconds.append((ContinuousClock.now - began) / .seconds(1)) }
        }
        let report = Report(
            size: size, threads: count, instructions: VectorInstructions.current.rawValue, seconds: median(seconds),
            peakRSSMiB: peakResidentMiB())
        if json { return try sayJSON(report) }
        say(
            String(
                format: "%dx%d to %dx%d: %.3f s (median), peak memory %.0f MiB, %d threads, %@", size, size, 2 * size,
                2 * size, report.seconds, report.peakRSSMiB, count, report.instructions))
    }
}

/// A square of reproducible noise.
private func noise(side: Int) -> Image {
    var stream = RandomStream(seed: 7, purpose: 0)
    var pixels: [UInt8] = []
    pixels.reserveCapacity(side * side * 3 + 16)
    while pixels.count < side * side * 3 {
        let bits = stream.next()
        for lane in 0..<4 {
            for byte in 0..<4 { pixels.append(UInt8(truncatingIfNeeded: bits[lane] >> UInt32(8 * byte))) }
        }
    }
    return Image(width: side, height: side, pixels: Array(pixels.prefix(side * side * 3)))
}

private func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// The peak resident memory of this process.
private func peakResidentMiB() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_maxrss) / 1024
}
