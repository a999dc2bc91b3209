import Imaging
import NNCore
import Testing

@testable import TextureGAN

@Suite struct ExpansionMemoryTests {
    /// Discards rows.
    private final class Drain: PictureSink {
        private(set) var isOpen = false
        private(set) var samples = 0
        func open() { isOpen = true }
        func write<Sample: PictureSample>(_ rows: UnsafeBufferPointer<Sample>) { samples += rows.count }
        func finish() {}
    }

    private static func generator(_ norm: Recipe.Norm = .without) -> Generator {
        var recipe = TinyRun.recipe
        recipe.norm = norm
        return Generator(recipe, initialisedFrom: RandomStream(seed: 5, purpose: 0), trained: false)
    }

    private static func needed(
        _ spec: String, width: Int, height: Int, _ generator: Generator = generator()
    ) throws -> Int {
        try PictureExpansion.neededBytes(
            for: ExpansionOptions(spec), of: "a.png", width: width, height: height, with: generator)
    }

    /// A doubling by nearest neighbour holds no enlarged copy of its input beside the features that are counted.
    @Test func doublingsTakeWhatIsCounted() {
        let generator = Generator(.draft, initialisedFrom: RandomStream(seed: 5, purpose: 0), trained: false)
        let workspace = Workspace(threads: 2)
        let side = 512
        let input = Tensor(in: workspace.arena, height: side, width: side, channels: 3)
        input.data.update(repeating: 0.5, count: input.count)
        _ = generator.infer(input, statistics: .image, in: workspace)
        let counted = 5 * input.count + generator.inferenceCount(height: side, width: side)
        let scratch = workspace.arena.peakBytes - counted * MemoryLayout<Float>.size
        #expect(scratch < 32 << 20, "\(scratch >> 20) MiB of scratch; the copy would take 128")
    }

    /// What `neededBytes` promises to the cluster, the expansion keeps; with less it does nothing.
    @Test(
        arguments: [
            "times=1", "times=2", "size=301x150", "times=2,seamless=both", "times=1,seamless=x", "variations=2",
            "input=noise,times=2", "times=1,statistics=running",
        ], [Recipe.Norm.without, .batch])
    func whatIsNeededIsEnoughAndLessIsNot(_ spec: String, _ norm: Recipe.Norm) throws {
        let (generator, options) = (Self.generator(norm), try ExpansionOptions(spec))
        let picture = TinyRun.image(width: 180, height: 140)
        let needed = try Self.needed(spec, width: 180, height: 140, generator)
        func run(_ bytes: Int, memoryMiB: Int? = nil) throws -> [Drain] {
            let expansion = PictureExpansion(
                options, of: "a.png", with: generator, memoryMiB: memoryMiB, availableBytes: bytes,
                workspace: Workspace(threads: 2))
            var drains: [Drain] = []
            try expansion.run(picture) { _, _ in
                drains.append(Drain())
                return drains[drains.count - 1]
            } progress: { _ in
            } finished: { _, drain, picture in
                #expect(drain.samples == picture.width * picture.height * 3)
            }
            return drains
        }
        #expect(try run(needed).count == options.count)
        let shortage = #expect(throws: MemoryShortage.self) { try run(needed / 2) }
        #expect(shortage!.availableBytes == needed / 2 && shortage!.limit == .memory)
        #expect(shortage!.description.contains("this process may use"), "\(shortage!)")
        // What the message says is enough for the process, is.
        #expect(try run(shortage!.neededBytes).count == options.count)
        let refused = #expect(throws: MemoryShortage.self) { try run(1 << 40, memoryMiB: 64) }
        #expect(refused!.description.contains("--memory allows 64 MiB"), "\(refused!)")
        #expect(try run(0, memoryMiB: (refused!.neededBytes >> 20) + 1).count == options.count)
    }

    /// The pictures of large results count: those that one slot of 1 GiB holds, and those that it does not.
    @Test func aLargeResultCountsTowardsTheMemory() throws {
        let gibibyte = 1 << 30
        #expect(try Self.needed("size=16384x16384", width: 512, height: 512) < gibibyte)
        #expect(try Self.needed("size=32768x32768", width: 512, height: 512) > gibibyte)
        let input = 16384 * 16384 * 3
        #expect(try Self.needed("size=32768x32768", width: 512, height: 512) > input)
        #expect(try Self.needed("size=32768x32768,depth=16", width: 512, height: 512) > 2 * input)
        // A result that tiles is in memory, and turned there.
        let tile = 8192 * 8192 * 3
        #expect(try Self.needed("size=8192x8192,seamless=both", width: 512, height: 512) > 2 * tile)
        #expect(try Self.needed("size=8192x8192", width: 512, height: 512) < tile)
        // Noise is ranked in the size of the picture.
        let plain = try Self.needed("times=1", width: 4096, height: 4096)
        #expect(try Self.needed("times=1,input=noise", width: 4096, height: 4096) > plain)
        #expect(try Self.needed("times=1,input=noise", width: 4096, height: 4096) > 4096 * 4096 * 40)
    }

    /// With less memory for the pictures, there is less for the features.
    @Test func whatThePicturesTakeTheFeaturesDoNotGet() throws {
        func memory(_ size: Int) -> ExpansionMemory {
            ExpansionMemory(
                generator: Self.generator(), statistics: .image,
                plan: DoublingPlan(doubling: size, size, times: 2), axes: nil, sampleBytes: 1,
                source: .init(width: size, height: size), input: .image, isPeriodic: false)
        }
        let (small, large) = (memory(100), memory(4000))
        let budget = 1 << 30
        #expect(small.featureLimit(of: 2, within: budget) > budget - 4 << 20)
        // The last input, and three of the picture.
        let pictures = 3 * (8032 * 8032 + 3 * 4000 * 4000)
        let limit = large.featureLimit(of: 2, within: budget)
        #expect(abs(limit - (budget - pictures)) < 1 << 20)
        #expect(large.featureLimit(of: 2, within: 1 << 20) == 0)
    }

    /// Laying blocks by a layout takes more than doubling it without pieces.
    @Test func layoutsCount() throws {
        func shortage(
            _ bytes: Int, layout side: Int, height: Int? = nil, exemplar: Int = 64
        ) throws -> MemoryShortage? {
            let height = height ?? side
            let expansion = PictureExpansion(
                try ExpansionOptions("times=1"), of: "a.png", with: Self.generator(), availableBytes: bytes,
                guide: .layout(
                    GuidePicture(name: "l.png", width: side, height: height, decodingBytes: 0) {
                        TinyRun.image(width: side, height: height)
                    }, strength: 1, seed: 1),
                workspace: Workspace(threads: 1))
            do {
                try expansion.run(TinyRun.image(width: exemplar, height: exemplar)) { _, _ in
                    Drain()
                } progress: { _ in
                } finished: { _, _, _ in
                }
                return nil
            } catch let error as MemoryShortage { return error }
        }
        #expect(try shortage(1 << 30, layout: 64) == nil)
        let found = try #require(try shortage(256 << 20, layout: 2048))
        #expect(found.width == 4096 && found.neededBytes > 2048 * 2048 * 100)
        // A small layout takes the light of the whole exemplar, too: 36 bytes a pixel beside the picture.
        let small = try #require(try shortage(64 << 20, layout: 64, exemplar: 2048))
        #expect(small.width == 128 && small.neededBytes > 2048 * 2048 * (36 + 3))
        // Whole blocks cover a thin layout: 48 rows for one.
        let thin = try #require(try shortage(256 << 20, layout: 200_000, height: 1))
        #expect(thin.height == 2 && thin.neededBytes > 200_000 * 48 * (110 + 9))
    }

    /// Instance norm has no averages: it always measures the whole image.
    @Test(arguments: [(Recipe.Norm.batch, true), (.instance, false), (.without, false)])
    func averagesAreAdvisedOnlyIfThereAreSome(_ norm: Recipe.Norm, _ isAdvised: Bool) throws {
        func require(_ spec: String, memoryMiB: Int? = nil) throws {
            try PictureExpansion(
                try ExpansionOptions(spec), of: "a.png", with: Self.generator(norm), memoryMiB: memoryMiB,
                availableBytes: 8 << 30, workspace: Workspace(threads: 1)
            ).require(width: 800, height: 800, sampleBytes: 1)
        }
        let shortage = #expect(throws: MemoryShortage.self) { try require("times=1", memoryMiB: 64) }
        #expect(shortage!.description.contains("--statistics running") == isAdvised, "\(shortage!)")
        #expect(shortage!.alternative.isEmpty != isAdvised)
        let refused = Result { try require("times=1,statistics=running") }
        if norm == .instance {
            let failure = #expect(throws: ExpansionFailure.self) { try refused.get() }
            #expect(failure!.message.contains("norms without running averages"), "\(failure!)")
        } else {
            #expect(throws: Never.self) { try refused.get() }
        }
    }

    /// A second picture takes what its file's size says, however small it becomes. It is not decoded if that is too much.
    @Test(arguments: ["size=64x64", "variations=2"])
    func guidesCountBeforeTheyAreDecoded(_ spec: String) throws {
        var isDecoded = false
        func run(_ bytes: Int, side: Int) throws {
            let picture = GuidePicture(name: "g.png", width: side, height: side, decodingBytes: 11 * side * side) {
                isDecoded = true
                return Image(width: side, height: side, pixels: [UInt8](repeating: 90, count: 3 * side * side))
            }
            let options = try ExpansionOptions(spec)
            let expansion = PictureExpansion(
                options, of: "a.png", with: Self.generator(), availableBytes: bytes,
                guide: options.variations == nil ? .layout(picture, strength: 1, seed: 1) : .near(picture),
                workspace: Workspace(threads: 1))
            try expansion.run(TinyRun.image(width: 64, height: 64)) { _, _ in
                Drain()
            } progress: { _ in
            } finished: { _, _, _ in
            }
        }
        let shortage = #expect(throws: MemoryShortage.self) { try run(256 << 20, side: 8000) }
        #expect(!isDecoded && shortage!.neededBytes > 8000 * 8000 * 11)
        try run(256 << 20, side: 200)
        #expect(isDecoded)
    }

    /// What a picture takes is known from its size.
    @Test func aPictureIsCheckedBeforeItIsDecoded() throws {
        let expansion = PictureExpansion(
            try ExpansionOptions("size=100x100"), of: "a.png", with: Self.generator(), availableBytes: 300 << 20,
            workspace: Workspace(threads: 1))
        let shortage = #expect(throws: MemoryShortage.self) {
            try expansion.require(width: 8000, height: 8000, sampleBytes: 1)
        }
        #expect(shortage!.neededBytes > 8000 * 8000 * 3)
        try expansion.require(width: 800, height: 800, sampleBytes: 1)
        // Reading may take more than all that follows.
        let reading = #expect(throws: MemoryShortage.self) {
            try expansion.require(width: 800, height: 800, sampleBytes: 1, readingBytes: 300 << 20)
        }
        #expect(reading!.neededBytes > 300 << 20)
    }

    /// The limit for large results is no less than what the smallest pieces take, however many channels they have.
    @Test func largeResultsOfManyMapsHaveRoomForTheirRows() throws {
        let layout = try #require(MapLayout(MapKind.allCases.filter { $0 != .normalDX }))
        let generator = Generator(try Recipe(yaml: "base: draft", source: "recipe"), layout, trained: false)
        let plan = try #require(DoublingPlan(reaching: 49152, 8192, fromWidth: 4096, height: 4096))
        let memory = ExpansionMemory(
            generator: generator, statistics: .image, plan: plan, axes: nil, sampleBytes: 2,
            source: .init(width: 4096, height: 4096), input: .image, isPeriodic: false)
        let expander = PictureExpander(
            generator: generator, statistics: .image, axes: nil, memoryMiB: nil, availableBytes: 64 << 30,
            workspace: Workspace(threads: 1))
        let least = memory.leastFeatures(of: plan.doublings)
        #expect(least > 512 << 20, "the test needs rows that exceed the usual limit")
        #expect(expander.featureLimit(of: plan.doublings, memory) >= least)
    }

    @Test(arguments: [0, 64 << 20, 192 << 20, 1 << 30, 5 << 32])
    func aBudgetLeavesRoomForTheProgram(_ bytes: Int) {
        let budget = ExpansionMemory.budget(ofBytes: bytes)
        #expect(budget >= 0 && budget <= max(0, bytes - ExpansionMemory.programBytes))
        let back = ExpansionMemory.bytes(forBudget: budget)
        #expect(ExpansionMemory.budget(ofBytes: back) >= budget && (budget == 0 || abs(back - bytes) < 8))
    }
}
