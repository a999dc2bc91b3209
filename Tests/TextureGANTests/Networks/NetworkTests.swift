import NNCore
import Testing

@testable import TextureGAN

@Suite struct NetworkTests {
    private func trainedCount(_ parameters: [Parameter]) -> Int {
        parameters.filter(\.isTrained).reduce(0) { $0 + $1.count }
    }

    @Test func thePapersNetworksHaveThePapersNumberOfParameters() {
        #expect(trainedCount(Generator(.paper).parameters) == 10_202_243)
        #expect(trainedCount(Discriminator(.paper).parameters) == 6_960_961)
    }

    private func shapes(_ parameters: [Parameter]) -> [String: [Int]] {
        Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, $0.layout.fileShape) })
    }

    private func norm(_ name: String, _ channels: Int) -> [String: [Int]] {
        [
            "\(name).weight": [channels], "\(name).bias": [channels], "\(name).running_mean": [channels],
            "\(name).running_var": [channels],
        ]
    }

    @Test func theGeneratorsParametersHaveTheNamesAndShapesOfItsFiles() {
        var recipe = Recipe.paper
        recipe.generatorWidth = 4
        recipe.residualBlocks = 2
        var expected: [String: [Int]] = [
            "head.weight": [4, 3, 7, 7], "down.0.weight": [8, 4, 3, 3], "down.1.weight": [16, 8, 3, 3],
            "widen.weight": [32, 16, 3, 3], "tail.weight": [3, 4, 7, 7], "tail.bias": [3],
            // Transposed convolutions have the order in, out.
            "up.0.weight": [32, 16, 3, 3], "up.1.weight": [16, 8, 3, 3], "up.2.weight": [8, 4, 3, 3],
        ]
        for (name, channels) in [
            ("head_bn", 4), ("down_bn.0", 8), ("down_bn.1", 16), ("widen_bn", 32), ("up_bn.0", 16), ("up_bn.1", 8),
            ("up_bn.2", 4),
        ] {
            expected.merge(norm(name, channels)) { $1 }
        }
        for block in 0..<2 {
            for half in 1...2 {
                expected["blocks.\(block).conv\(half).weight"] = [16, 16, 3, 3]
                expected.merge(norm("blocks.\(block).bn\(half)", 16)) { $1 }
            }
        }
        #expect(shapes(Generator(recipe).parameters) == expected)

        recipe.norm = .instance
        let instance = shapes(Generator(recipe).parameters)
        #expect(instance == expected.filter { !$0.key.contains("running_") })

        recipe.norm = .without
        // A bias for each convolution replaces its norm.
        let convolutions = expected.filter { !$0.key.contains("bn") }
        var biased = convolutions
        for name in convolutions.keys where name.hasSuffix(".weight") {
            let isTransposed = name.hasPrefix("up")
            biased[name.replacing(".weight", with: ".bias")] = [convolutions[name]![isTransposed ? 1 : 0]]
        }
        #expect(biased.count == 2 * 12)
        #expect(shapes(Generator(recipe).parameters) == biased)

        recipe.norm = .batch
        recipe.upsample = .nearest
        for (index, channels) in [32, 16, 8].enumerated() {
            expected["up.\(index).weight"] = [channels / 2, channels, 3, 3]
        }
        #expect(shapes(Generator(recipe).parameters) == expected)
    }

    @Test func theDiscriminatorsParametersHaveTheNamesAndShapesOfItsFiles() {
        var recipe = Recipe.paper
        recipe.discriminatorWidth = 2
        var expected: [String: [Int]] = [
            "first.weight": [2, 3, 4, 4], "first.bias": [2], "convs.0.weight": [4, 2, 4, 4],
            "convs.1.weight": [8, 4, 4, 4], "convs.2.weight": [16, 8, 4, 4], "convs.3.weight": [16, 16, 4, 4],
            "last.weight": [1, 16, 4, 4], "last.bias": [1],
        ]
        for (index, channels) in [4, 8, 16, 16].enumerated() {
            expected.merge(norm("norms.\(index)", channels)) { $1 }
        }
        #expect(shapes(Discriminator(recipe).parameters) == expected)

        recipe.discriminatorNorm = .without
        expected = expected.filter { !$0.key.hasPrefix("norms") }
        for (name, shape) in expected where name.hasSuffix(".weight") {
            expected[name.replacing(".weight", with: ".bias")] = [shape[0]]
        }
        #expect(shapes(Discriminator(recipe).parameters) == expected)

        recipe.discriminatorNorm = .spectral
        for (name, shape) in expected where name.hasSuffix(".weight") {
            expected["\(name)_u"] = [shape[0]]
            expected["\(name)_v"] = [1] + shape[1...]
        }
        #expect(shapes(Discriminator(recipe).parameters) == expected)
    }

    @Test func theDiscriminatorsNormIsTheGeneratorsUnlessItHasItsOwn() {
        for norm in Recipe.Norm.allCases {
            var recipe = TinyRun.recipe
            recipe.norm = norm
            func names() -> Set<String> { Set(Discriminator(recipe).parameters.map(\.name)) }
            #expect(names().contains("norms.0.weight") == (norm != .without), "\(norm)")
            #expect(names().contains("norms.0.running_mean") == (norm == .batch), "\(norm)")
            recipe.discriminatorNorm = .batch
            #expect(names().contains("norms.0.running_mean"), "\(norm)")
        }
    }

    /// Compares the deviation of values around 0 with the expected deviation, up to scatter.
    private func isDeviation(_ parameter: Parameter, _ deviation: Float) -> Bool {
        let values = parameter.fileOrder()
        let square = values.reduce(0) { $0 + Double($1) * Double($1) } / Double(values.count)
        return abs(square.squareRoot() / Double(deviation) - 1) < 5 / Double(2 * values.count).squareRoot()
    }

    @Test func withoutNormsWeightsAreHesWithSmallResidualsAndASmallTail() {
        var recipe = Recipe.draft
        recipe.norm = .without
        for parameter in Generator(recipe, initialisedFrom: RandomStream(seed: 1, purpose: 1)).parameters {
            let (name, shape) = (parameter.name, parameter.layout.fileShape)
            if name.hasSuffix(".bias") {
                #expect(parameter.fileOrder().allSatisfy { $0 == 0 }, "\(name)")
            } else if name == "tail.weight" {
                #expect(isDeviation(parameter, 0.02))
            } else if name.hasSuffix("conv2.weight") {
                #expect(isDeviation(parameter, 0.005), "\(name)")
            } else {
                #expect(isDeviation(parameter, (2 / Float(shape[1] * shape[2] * shape[3])).squareRoot()), "\(name)")
            }
        }
        for norm in [Recipe.DiscriminatorNorm.without, .spectral] {
            recipe.discriminatorNorm = norm
            for parameter in Discriminator(recipe, initialisedFrom: RandomStream(seed: 1, purpose: 2)).parameters {
                let (name, values) = (parameter.name, parameter.fileOrder())
                if name.hasSuffix(".bias") {
                    #expect(values.allSatisfy { $0 == 0 }, "\(name)")
                } else if name.hasSuffix(".weight") {
                    #expect(isDeviation(parameter, parameter.heDeviation), "\(name)")
                } else {
                    #expect(abs(dot(values, values) - 1) < 1e-5, "\(name)")
                }
            }
        }
    }

    @Test func initialWeightsAreAsPublished() {
        var recipe = Recipe.paper
        recipe.generatorWidth = 8
        let generator = Generator(recipe, initialisedFrom: RandomStream(seed: 1, purpose: 1))
        for parameter in generator.parameters {
            let values = parameter.fileOrder()
            let name = parameter.name
            if name.hasSuffix("running_var") {
                #expect(values.allSatisfy { $0 == 1 }, "\(name)")
            } else if name.hasSuffix(".bias") || name.hasSuffix("running_mean") {
                #expect(values.allSatisfy { $0 == 0 }, "\(name)")
            } else {
                let mean: Double = parameter.layout.fileShape.count == 1 ? 1 : 0
                let spread = values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(values.count)
                // Few values scatter: five deviations of an estimated deviation.
                #expect(abs(spread.squareRoot() / 0.02 - 1) < 5 / Double(2 * values.count).squareRoot(), "\(name)")
            }
        }
    }

    @Test(arguments: [(4, 16), (24, 12), (12, 40)])
    func theGeneratorsOutputIsTwiceItsInput(_ height: Int, _ width: Int) {
        let workspace = Workspace(threads: 2, arena: Arena(reservedBytes: 4 << 30))
        for upsample in Recipe.Upsample.allCases {
            var recipe = TinyRun.recipe
            recipe.upsample = upsample
            // The residual blocks reflect, so they need two pixels after two halvings.
            let height = max(height, 8)
            let generator = Generator(recipe, initialisedFrom: RandomStream(seed: 1, purpose: 1))
            let input = Tensor(in: workspace.arena, height: height, width: width, channels: 3)
            _ = input.buffer.update(fromContentsOf: randomValues(input.count, seed: 1))
            var dropout = RandomStream(seed: 1, purpose: 4)
            for output in [
                generator.forward(input, dropout: &dropout, in: workspace).output,
                generator.infer(input, statistics: .image, in: workspace),
            ] {
                #expect(output.height == 2 * height && output.width == 2 * width && output.channels == 3)
                #expect(output.buffer.allSatisfy { abs($0) <= 1 } && output.buffer.contains { $0 != 0 })
            }
        }
    }

    @Test(arguments: Recipe.Norm.allCases)
    func inferenceEqualsTrainingsForwardPassWithoutDropout(norm: Recipe.Norm) {
        let workspace = Workspace(threads: 2, arena: Arena(reservedBytes: 4 << 30))
        var recipe = TinyRun.recipe
        recipe.dropout = 0
        recipe.norm = norm
        let generator = Generator(recipe, initialisedFrom: RandomStream(seed: 1, purpose: 1))
        let input = Tensor(in: workspace.arena, height: 12, width: 16, channels: 3)
        _ = input.buffer.update(fromContentsOf: randomValues(input.count, seed: 1))
        var dropout = RandomStream(seed: 1, purpose: 4)
        let trained = Array(generator.forward(input, dropout: &dropout, in: workspace).output.buffer)
        #expect(Array(generator.infer(input, statistics: .image, in: workspace).buffer) == trained)
        #expect(dropout.position == 0)
        // Only batch norm has running averages. With other norms, the choice changes nothing.
        let running = Array(generator.infer(input, statistics: .running, in: workspace).buffer)
        #expect((running == trained) == (norm != .batch))
    }

    @Test(arguments: [(1, 6), (2, 12), (3, 24), (4, 48), (5, 96)])
    func theSmallestSideLeavesOneLogit(layers: Int, side: Int) {
        #expect(Discriminator.smallestSide(layers: layers) == side)
        var recipe = TinyRun.recipe
        recipe.discriminatorLayers = layers
        recipe.discriminatorWidth = 1
        let discriminator = Discriminator(recipe, initialisedFrom: RandomStream(seed: 1, purpose: 2))
        let workspace = Workspace(threads: 1, arena: Arena(reservedBytes: 4 << 30))
        let image = Tensor(in: workspace.arena, height: side, width: 2 * side, channels: 3)
        image.buffer.update(repeating: 0.5)
        let logits = discriminator.forward(image, in: workspace).logits
        #expect(logits.height == 1 && logits.width > 1 && logits.channels == 1)
    }

    @Test func paperJudges256PixelsBy14x14Logits() {
        var recipe = Recipe.paper
        recipe.discriminatorWidth = 1
        let discriminator = Discriminator(recipe, initialisedFrom: RandomStream(seed: 1, purpose: 2))
        let workspace = Workspace(threads: 2, arena: Arena(reservedBytes: 4 << 30))
        let image = Tensor(in: workspace.arena, height: 256, width: 256, channels: 3)
        image.buffer.update(repeating: 0)
        let logits = discriminator.forward(image, in: workspace).logits
        #expect(logits.height == 14 && logits.width == 14)
    }
}
