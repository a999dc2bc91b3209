import Testing

@testable import ClusterCore
@testable import TextureGAN
@testable import Worker

/// ClusterCore cannot import TextureGAN, so both spell some names. They must agree.
struct NamesTests {
    @Test func failureCodesAreTheTrainers() {
        #expect(FailureCode(TrainingError.Code.damagedCheckpoint) == .damagedCheckpoint)
        #expect(FailureCode(TrainingError.Code.foreignCheckpoint) == .foreignCheckpoint)
        #expect(FailureCode(TrainingError.Code.badCheckpoint) == .badCheckpoint)
        #expect(FailureCode(TrainingError.Code.fileSystem) == .fileSystem)
    }

    @Test func everythingThatATrainerMakesHasARole() {
        for kind in [TrainingRun.ArtifactKind.snapshot, .checkpoint, .generator, .discriminator] {
            #expect(ArtifactRole(rawValue: kind.rawValue) != nil)
        }
        // And everything that completes a training is made by its trainer.
        for role in WorkContract.table[.train]!.products {
            #expect(TrainingRun.ArtifactKind(rawValue: role.rawValue) != nil)
        }
    }
}
