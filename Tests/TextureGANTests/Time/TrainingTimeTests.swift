import Foundation
import NNCore
import Testing

@testable import TextureGAN

/// The arithmetic of expected times. Never checks how long anything takes.
@Suite("Training time")
struct TrainingTimeTests {
    private func recipe(iterations: Int, snapshotEvery: Int) -> Recipe {
        var recipe = TinyRun.recipe
        recipe.iterations = iterations
        recipe.snapshotEvery = snapshotEvery
        return recipe
    }

    @Test(arguments: [
        (10, 4, 0, 3), (10, 4, 3, 3), (10, 4, 4, 2), (10, 4, 8, 1), (10, 4, 9, 1), (10, 4, 10, 0), (12, 4, 0, 3),
        (12, 4, 11, 1), (3, 4, 0, 1), (6000, 500, 0, 12),
    ])
    func snapshotsAreCountedAsARunTakesThem(iterations: Int, every: Int, after: Int, expected: Int) {
        #expect(recipe(iterations: iterations, snapshotEvery: every).snapshots(after: after) == expected)
    }

    @Test func aTrainingTakesItsIterationsAndItsSnapshots() {
        let speed = MeasuredSpeed(secondsPerIteration: 0.04, snapshotSeconds: 0.3, snapshotSecondsPerPixel: 1e-6)
        let time = speed.time(of: .draft, width: 600, height: 400)
        #expect(time.iterations == 9000 && time.snapshots == 18)
        #expect(abs(time.secondsPerSnapshot - 0.54) < 1e-9 && abs(time.seconds - 369.72) < 1e-9)
    }

    @Test func whatIsLeftBeginsAsExpectedAndEndsAsMeasured() {
        let recipe = recipe(iterations: 1000, snapshotEvery: 500)
        let expected = TrainingTime(iterations: 1000, secondsPerIteration: 0.04, snapshots: 2, secondsPerSnapshot: 1)
        var pace = TrainingPace(recipe, expected: expected)
        #expect(pace.remaining(after: 0) == expected)
        // The first iteration also allocates its memory, so its time hardly moves the pace.
        pace.iterated(seconds: 0.2)
        #expect(abs(pace.secondsPerIteration - 0.0432) < 1e-9)
        for _ in 0..<400 { pace.iterated(seconds: 0.08) }
        #expect(abs(pace.secondsPerIteration - 0.08) < 1e-4)
        pace.tookSnapshot(seconds: 3)
        let left = pace.remaining(after: 500)
        #expect(left.iterations == 500 && left.snapshots == 1 && left.secondsPerSnapshot == 2)
        #expect(abs(left.seconds - 42) < 0.1)
        // After iteration 999, the last snapshot is still to come.
        #expect(pace.remaining(after: 999).seconds > 2)
        #expect(pace.remaining(after: 1000).seconds == 0)
    }

    @Test func iterationsThatAlternateAreAveragedOverPairs() {
        var pace = TrainingPace(recipe(iterations: 1000, snapshotEvery: 500), expected: nil)
        pace.iterated(seconds: 0.02)
        #expect(pace.secondsPerIteration == 0.02)
        for index in 1..<400 { pace.iterated(seconds: index % 2 == 0 ? 0.02 : 0.06) }
        #expect(abs(pace.secondsPerIteration - 0.04) < 0.001)
    }

    @Test func aMeasurementIsPossibleForEveryKindOfRecipe() throws {
        var automatic = TinyRun.recipe
        automatic.k = nil
        automatic.style = nil
        var withStyle = TinyRun.recipe
        withStyle.styleTaps = 1
        for recipe in [automatic, withStyle] {
            for clock in [MeasuredSpeed.Clock.wall, .processor] {
                let speed = try MeasuredSpeed.measure(recipe, width: 40, height: 30, threads: 2, by: clock)
                #expect(speed.secondsPerIteration > 0)
                #expect(speed.snapshotSeconds >= 0 && speed.snapshotSecondsPerPixel > 0)
            }
        }
        let layout = try #require(MapLayout([.albedo, .normalGL, .roughness]))
        let material = try MeasuredSpeed.measure(withStyle, width: 40, height: 30, layout: layout, threads: 1)
        #expect(material.secondsPerIteration > 0 && material.snapshotSecondsPerPixel > 0)
        let error = TinyRun.error {
            _ = try MeasuredSpeed.measure(withStyle, width: 20, height: 20, threads: 1)
        }
        #expect(error?.code == .badExemplar)
    }

    @Test func theSameWorkIsTheSameWhateverItsSeedAndName() {
        var other = Recipe.draft
        other.seed = 9
        other.name = "mine"
        #expect(other.workload == Recipe.draft.workload && other.workload != nil)
        #expect(Recipe.workload(ofFile: other.yaml()) == other.workload)
        other.iterations = 12_000
        #expect(other.workload != Recipe.draft.workload)
        // With an automatic k, the crops depend on the exemplar.
        other.k = nil
        #expect(other.workload == nil && Recipe.workload(ofFile: "recipe: draft") == nil)
    }

    @Test func cpuTimeIsCountedOverAttemptsAndNotMadeUp() throws {
        try TinyRun.inFolder { folder in
            let file = folder.appendingPathComponent("checkpoint.safetensors")
            let first = try TinyRun.trainer(threads: 2)
            try first.advance(by: 3)
            try first.writeCheckpoint(to: file)
            let written = try Safetensors(contentsOf: file).metadata["cpu_seconds"].flatMap(Double.init)
            #expect(try #require(written) > 0)
            let second = try TinyRun.trainer(threads: 2)
            try second.restore(from: file)
            #expect(try #require(second.cpuSeconds) >= #require(written))
            let before = try #require(second.cpuSeconds)
            try second.advance(by: 3)
            #expect(try #require(second.cpuSeconds) > before)
        }
    }

    @Test func theThreadsOfAPoolCountAsItsDriverDoes() {
        let pool = ThreadPool(threads: 2)
        let before = pool.cpuSeconds
        // Long blocks, so that both threads get some.
        pool.run(blocks: 8) { _ in
            var sum = 0.0
            for index in 1..<400_000 { sum += 1 / Double(index) }
            precondition(sum > 0)
        }
        #expect(pool.cpuSeconds > before)
    }
}
