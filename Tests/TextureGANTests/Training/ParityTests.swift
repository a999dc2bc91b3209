import Foundation
import NNCore
import Testing

@testable import TextureGAN

/// Repeats training steps of an independent PyTorch implementation. The same weights, crops and feature weights must
/// give the same gradients, losses, trained weights and expansions.
///
/// Fixtures: the project's own, and those in TEXLOOM_PARITY (paths separated by ':'). The head of
/// Benchmarks/pytorch/make_fixture.py describes their tensors and ties. It also converts fixtures of single precision
/// (shared/parity) to double precision.
@Suite struct ParityTests {
    static let own = ["steps_k24", "steps_none", "steps_spectral"].map {
        fixturesFolder.appendingPathComponent("\($0).safetensors")
    }
    static let shared = projectFolder.deletingLastPathComponent()
        .appendingPathComponent("shared/parity/steps_k32.safetensors")
    static let named = (ProcessInfo.processInfo.environment["TEXLOOM_PARITY"] ?? "")
        .split(separator: ":").map { URL(fileURLWithPath: String($0)) }

    @Test(
        .enabled(
            if: FileManager.default.fileExists(atPath: ParityTests.shared.path),
            "there is no shared/parity beside the project"))
    func trainingStepsAgreeWithPyTorchInTheSharedFixture() throws {
        try trainingStepsAgreeWithPyTorch(fixture: Self.shared)
    }

    @Test(arguments: own + named)
    func trainingStepsAgreeWithPyTorch(fixture: URL) throws {
        let replay = try ParityReplay(fixture)
        for step in replay.steps {
            let errors = try replay.run(step)
            print("parity \(fixture.lastPathComponent), \(step) step: \(errors)")
            expectAgreement(errors, "\(step) step")
        }
        let expansion = try replay.expansionError()
        print("parity \(fixture.lastPathComponent): largest error of expansions \(expansion)")
        #expect(expansion < 1e-4, "absolute, in [-1, 1]")
    }

    private func expectAgreement(_ errors: ParityReplay.Errors, _ what: String) {
        #expect(errors.loss < 1e-4, "\(what): relative")
        #expect(errors.gradient < 1, "\(what): \(errors.worstGradient), in what rounding and its ties allow")
        // Ties that may change a gradient by more than this could hide any error.
        #expect(errors.tie < 0.2, "\(what): the share of a gradient that ties may change")
        #expect(errors.statistic < 1e-4, "\(what): relative L2 of running averages and singular vectors")
        #expect(errors.update < errors.updateAllowed, "\(what): relative L2 of what Adam changed")
    }

    /// The comparison is strict enough: it finds a loss weight that is wrong by one per cent, and one wrong tap.
    @Test(arguments: own)
    func smallFaultsAreFound(fixture: URL) throws {
        let replay = try ParityReplay(fixture)
        for step in replay.steps {
            #expect(try replay.run(step) { recipe, _, _ in recipe.l1Weight *= 1.01 }.gradient > 1)
            // Pretends that two discriminators are added instead of averaged.
            #expect(try replay.run(step) { recipe, _, _ in recipe.adversarialWeight *= 2 }.gradient > 1)
            // Pretends that a kernel multiplied one tap of one channel wrongly.
            let block = "blocks.\(replay.config.blocks - 1).conv2.weight"
            var faults = [(block, true), ("convs.1.weight", false)]
            if replay.recipe.secondDiscriminatorNorm != nil { faults.append(("second.convs.1.weight", false)) }
            for (name, isGenerator) in faults {
                let errors = try replay.run(step) { _, generator, judges in
                    let parameters = isGenerator ? generator.parameters : judges
                    let parameter = parameters.first { $0.name == name }!
                    parameter.value[3] *= 1.1
                }
                #expect(errors.gradient > 1, "\(name): \(errors)")
            }
        }
    }
}

/// One fixture, and the largest errors of its replay.
struct ParityReplay {
    struct Config: Decodable {
        var k, ngf, ndf, blocks, d_layers, steps: Int
        /// "float64", or absent in fixtures of single precision.
        var arithmetic: String?
        /// Absent in fixtures of the published method.
        var norm, discriminator_norm, second_discriminator, upsample, adversarial: String?
        var ema: Float?
    }

    /// A step that can be repeated alone.
    enum Step { case first, last }

    struct Errors: CustomStringConvertible {
        /// Relative.
        var loss = 0.0
        /// The largest error of a gradient, as a multiple of the allowed error: a ten-thousandth of its length, plus
        /// the possible effect of its ties.
        var gradient = 0.0
        var worstGradient = ""
        /// The largest share of a gradient that ties may change.
        var tie = 0.0
        var statistic = 0.0
        /// Relative L2 error of the change of the weights, and its limit. Adam makes equally large steps for small and
        /// large gradients, so errors of small gradients weigh more here than in the gradients.
        var update = 0.0
        var updateAllowed: Double { 1e-3 + 2 * tie }

        var description: String {
            func text(_ value: Double) -> String { String(format: "%.2g", value) }
            return "errors of losses \(text(loss)), gradients \(text(gradient)) of what is allowed (\(worstGradient)), "
                + "running averages \(text(statistic)), updates \(text(update)); ties \(text(tie))"
        }
    }

    let file: Safetensors
    let url: URL
    let config: Config
    /// Holds the exemplar while steps read it. Each replay has its own, because fixtures are replayed in parallel.
    private let exemplarArena = Arena()

    init(_ url: URL) throws {
        self.url = url
        file = try Safetensors(contentsOf: url)
        config = try JSONDecoder().decode(Config.self, from: Data((file.metadata["config"] ?? "").utf8))
    }

    var recipe: Recipe {
        var recipe = Recipe.paper
        recipe.k = config.k
        recipe.generatorWidth = config.ngf
        recipe.discriminatorWidth = config.ndf
        recipe.residualBlocks = config.blocks
        recipe.discriminatorLayers = config.d_layers
        recipe.dropout = 0
        recipe.style = .vgg19
        recipe.styleInput = .raw
        recipe.norm = config.norm.map { Recipe.Norm(rawValue: $0)! } ?? .batch
        recipe.discriminatorNorm = config.discriminator_norm.map { Recipe.DiscriminatorNorm(rawValue: $0)! } ?? .same
        // "off" names no norm, so it gives nil.
        recipe.secondDiscriminatorNorm = config.second_discriminator.flatMap(Recipe.DiscriminatorNorm.init)
        recipe.upsample = config.upsample.map { Recipe.Upsample(rawValue: $0)! } ?? .transposed
        recipe.adversarial = config.adversarial.map { Recipe.Adversarial(rawValue: $0)! } ?? .bce
        recipe.ema = config.ema ?? 0
        return recipe
    }

    /// A file of single precision has no information on ties. Its first step is compared as far as possible. Its later
    /// steps are not compared, because the outcome of its own ties has grown into their weights.
    private var isDouble: Bool { config.arithmetic == "float64" }
    var steps: [Step] { isDouble && config.steps > 1 ? [.first, .last] : [.first] }

    /// Repeats a step from the reference's weights, and compares all its results.
    /// - Parameter spoil: Breaks something first.
    func run(
        _ which: Step, spoil: (_ recipe: inout Recipe, Generator, _ judges: [Parameter]) -> Void = { _, _, _ in }
    ) throws -> Errors {
        var recipe = recipe
        let generator = Generator(recipe)
        var discriminators = [Discriminator(recipe)]
        if recipe.secondDiscriminatorNorm != nil { discriminators.append(Discriminator(recipe, isSecond: true)) }
        let judges = discriminators.flatMap(\.parameters)
        let index = which == .first ? 0 : config.steps - 1
        var networks = [("generator.", generator.parameters), ("discriminator.", judges)]
        for (network, parameters) in networks {
            try load(parameters, (which == .first ? "init." : "last.before.") + network)
            guard which == .last else { continue }
            for parameter in parameters where parameter.isTrained {
                for (kind, target) in [
                    ("last.mean.", parameter.firstMoment), ("last.square.", parameter.secondMoment),
                ] { parameter.load(fileOrder: try values(kind + network, parameter), into: target) }
            }
        }
        let means = networks.map { $0.1.map { $0.isTrained ? $0.fileOrder($0.firstMoment) : [] } }
        let beforeSpoiling = networks.map { $0.1.map { $0.fileOrder() } }
        spoil(&recipe, generator, judges)
        var model = AdversarialModel(
            recipe: recipe, generator: generator, discriminators: discriminators, features: try features())
        model.generatorOptimiser.steps = index
        model.discriminatorOptimiser.steps = index

        if let average = model.average, which == .last {
            try load(average.generator.parameters, "last.before.average.")
        }
        let before = beforeSpoiling + (model.average.map { [$0.generator.parameters.map { $0.fileOrder() }] } ?? [])

        let workspace = Workspace(threads: 2)
        let crop = try file.integers("crops", shape: [config.steps, 4])[4 * index..<4 * index + 4].map(Int.init)
        let image = try exemplar()
        let target = image.window(
            y: crop[0], x: crop[1], height: 2 * config.k, width: 2 * config.k, in: workspace.arena)
        let source = target.window(y: crop[2], x: crop[3], height: config.k, width: config.k, in: workspace.arena)
        var dropout = RandomStream(seed: 0, purpose: 0)
        var clock = PhaseClock()
        let report = model.update(
            source: source, target: target, rate: 2e-4, dropout: &dropout, clock: &clock, in: workspace)

        var errors = Errors()
        let losses = try file.floats("losses", shape: [config.steps, 6])
        let found = [report.discriminatorFake, report.discriminatorReal, report.adversarial, report.l1, report.style]
        for (column, value) in found.enumerated() {
            let expected = Double(losses[6 * index + column])
            errors.loss = max(errors.loss, abs(value - expected) / max(abs(expected), 1e-12))
        }
        let prefix = which == .first ? "" : "last."
        // Some gradients are pure rounding, such as that of the last bias in relativistic pairs. Adam still makes a
        // step of full length, in a meaningless direction.
        var isTold: [String: [Bool]] = [:]
        for ((network, parameters), means) in zip(networks, means) {
            for (parameter, mean) in zip(parameters, means) where parameter.isTrained {
                // Adam's mean of the gradient determines the gradient.
                let gradient = zip(parameter.fileOrder(parameter.firstMoment), mean).map {
                    ($0 - recipe.beta1 * $1) / (1 - recipe.beta1)
                }
                let expected = try values(prefix + "grad." + network, parameter)
                let length = norm(expected)
                let least = Float(1e-4 * length / Double(expected.count).squareRoot() + 1e-6)
                isTold[network + parameter.name] = expected.map { abs($0) > least }
                let tie =
                    isDouble
                    ? Double(try file.floats(prefix + "tie." + network + parameter.name, shape: [1])[0]) : 0.15 * length
                // For a gradient that is pure rounding, only rounding can be compared.
                let allowed = 1e-4 * length + tie + 1e-6
                errors.tie = max(errors.tie, length > 1e-6 ? tie / length : 0)
                let error = norm(zip(gradient, expected).map { $0 - $1 }) / allowed
                if error > errors.gradient {
                    errors.gradient = error
                    errors.worstGradient = prefix + parameter.name
                }
            }
        }
        // The file has no weights after the first of several steps.
        guard which == .last || config.steps == 1 else { return errors }
        if let average = model.average { networks.append(("average.", average.generator.parameters)) }
        var (change, difference) = (0.0, 0.0)
        for ((network, parameters), before) in zip(networks, before) {
            for (parameter, before) in zip(parameters, before) {
                let expected = try values("final." + network, parameter)
                // No gradient trains averaged weights, but they change with the trained ones.
                if let isTold = isTold[(network == "average." ? "generator." : network) + parameter.name] {
                    let found = parameter.fileOrder()
                    for index in expected.indices where isTold[index] {
                        difference += Double(found[index] - expected[index]) * Double(found[index] - expected[index])
                        change += Double(expected[index] - before[index]) * Double(expected[index] - before[index])
                    }
                } else {
                    let wrong = norm(zip(parameter.fileOrder(), expected).map { $0 - $1 })
                    errors.statistic = max(errors.statistic, wrong / max(norm(expected), 1e-12))
                }
            }
        }
        errors.update = (difference / change).squareRoot()
        return errors
    }

    /// The largest difference between the final generator's expansions and the reference's.
    func expansionError() throws -> Double {
        let generator = Generator(recipe)
        try load(generator.parameters, "final.generator.")
        let workspace = Workspace(threads: 2)
        let image = try exemplar()
        let input = image.window(
            y: 0, x: 0, height: image.height / 4 * 4, width: image.width / 4 * 4, in: workspace.arena)
        var largest = 0.0
        // Without norms, there is no choice of statistics.
        let hasNorms = recipe.norm == .batch
        for (name, statistics) in [("batch", BatchNorm.Statistics.image), (hasNorms ? "running" : "batch", .running)] {
            let output = generator.infer(input, statistics: statistics, in: workspace)
            let expected = try file.floats("expanded.\(name)", shape: [3, output.height, output.width])
            for channel in 0..<3 {
                for pixel in 0..<output.pixels {
                    let difference = output.data[pixel * 3 + channel] - expected[channel * output.pixels + pixel]
                    largest = max(largest, Double(abs(difference)))
                }
            }
        }
        return largest
    }

    private func values(_ prefix: String, _ parameter: Parameter) throws -> [Float] {
        try file.floats(prefix + parameter.name, shape: parameter.layout.fileShape)
    }

    private func load(_ parameters: [Parameter], _ prefix: String) throws {
        for parameter in parameters { parameter.load(fileOrder: try values(prefix, parameter)) }
    }

    /// The fixture's thin VGG19 as a feature weights file.
    private func features() throws -> VGGFeatures {
        var writer = SafetensorsWriter(metadata: [:])
        for (name, entry) in file.entries where name.hasPrefix("vgg.") {
            let values = try file.floats(name)
            writer.add(String(name.dropFirst(4)), shape: entry.shape) { values }
        }
        let weights = FileManager.default.temporaryDirectory
            .appendingPathComponent("texloom-\(UUID().uuidString).safetensors")
        try writer.write(to: weights)
        defer { try? FileManager.default.removeItem(at: weights) }
        return try VGGFeatures(.vgg19, taps: 5, input: .raw, weights: .file(weights))
    }

    private func exemplar() throws -> Tensor {
        let shape = file.entries["exemplar"]?.shape ?? []
        let pixels = try file.bytes("exemplar", shape: shape)
        let tensor = Tensor(in: exemplarArena, height: shape[0], width: shape[1], channels: 3)
        for (index, value) in pixels.enumerated() { tensor.data[index] = Float(value) / 127.5 - 1 }
        return tensor
    }

    private func norm(_ values: [Float]) -> Double {
        values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    }
}
