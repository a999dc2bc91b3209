import Foundation
import Testing

@testable import TextureGAN

@Suite struct ContinuationTests {
    private func recipe(_ iterations: Int, constantShare: Float) -> Recipe {
        var recipe = TinyRun.recipe
        recipe.iterations = iterations
        recipe.constantShare = constantShare
        return recipe
    }

    /// The state after a short training, continued by a longer recipe.
    private func continued(_ short: Recipe, _ long: Recipe) throws -> UInt64 {
        try TinyRun.inFolder { folder in
            let file = folder.appendingPathComponent("c.safetensors")
            let first = try TinyRun.trainer(short)
            try first.advance(by: short.iterations)
            try first.writeCheckpoint(to: file)
            let second = try TinyRun.trainer(long)
            try second.restore(from: file)
            #expect(second.iteration == short.iterations && second.history.count == first.history.count)
            try second.advance(by: long.iterations - short.iterations)
            return second.state
        }
    }

    @Test func withAConstantRateALongerTrainingHasTheSameBytesAsOneFromTheStart() throws {
        let (short, long) = (recipe(5, constantShare: 1), recipe(9, constantShare: 1))
        let whole = try TinyRun.trainer(long)
        try whole.advance(by: 9)
        #expect(try continued(short, long) == whole.state)
    }

    @Test func withAFallingRateItIsAnotherTraining() throws {
        let (short, long) = (recipe(5, constantShare: 0.5), recipe(9, constantShare: 0.5))
        let whole = try TinyRun.trainer(long)
        try whole.advance(by: 9)
        #expect(try continued(short, long) != whole.state)
    }

    @Test func onlyALongerRecipeContinuesAndOnlyAFinishedTraining() throws {
        try TinyRun.inFolder { folder in
            let file = folder.appendingPathComponent("c.safetensors")
            let first = try TinyRun.trainer(recipe(5, constantShare: 1))
            try first.advance(by: 4)
            try first.writeCheckpoint(to: file)
            func refusal(_ recipe: Recipe) throws -> String {
                let trainer = try TinyRun.trainer(recipe)
                return TinyRun.error { try trainer.restore(from: file) }?.message ?? "accepted"
            }
            let long = recipe(9, constantShare: 1)
            #expect(try refusal(long).contains("belongs to another recipe"))
            try first.advance(by: 1)
            try first.writeCheckpoint(to: file)
            #expect(try refusal(long) == "accepted")
            var other = long
            other.seed = 99
            #expect(try refusal(other).contains("belongs to another recipe"))
            #expect(try refusal(recipe(4, constantShare: 1)).contains("belongs to another recipe"))
        }
    }
}
