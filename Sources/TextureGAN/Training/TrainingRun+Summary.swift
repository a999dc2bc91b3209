import Base
import Foundation

extension TrainingRun {
    /// What result.json says about the run.
    private struct Summary: Encodable {
        var software: String
        var recipe: String
        var seed: UInt64
        var k: Int
        var exemplar: String
        var exemplarWidth: Int
        var exemplarHeight: Int
        /// Of a material.
        var maps: [String]?
        var iterations: Int
        var trainingSeconds: Double
        var cpuSeconds: Double?
        var threads: Int
        /// The network of the style loss; "off" without one.
        var featureWeights: String
        var featureInput: String
        var losses: [String: Float]
        /// The measured figures of the last snapshot.
        var quality: [String: Float]
        /// The figures in words.
        var verdict: String
    }

    static func summary(_ trainer: Trainer, _ input: Input, _ quality: QualityFigures) -> String {
        let last = trainer.history.last?.values ?? []
        let summary = Summary(
            software: "texloom \(texloomVersion)", recipe: trainer.recipe.name, seed: trainer.recipe.seed, k: trainer.k,
            exemplar: input.exemplarName, exemplarWidth: trainer.exemplar.image.width,
            exemplarHeight: trainer.exemplar.image.height,
            maps: trainer.exemplar.material.map { $0.layout.maps.map(\.rawValue) }, iterations: trainer.iteration,
            trainingSeconds: trainer.trainingSeconds, cpuSeconds: trainer.cpuSeconds, threads: input.threads,
            featureWeights: trainer.recipe.style?.rawValue ?? "off",
            featureInput: trainer.recipe.style == nil ? "off" : trainer.recipe.styleInput.rawValue,
            losses: Dictionary(uniqueKeysWithValues: zip(Trainer.columns, last)),
            quality: Dictionary(uniqueKeysWithValues: quality.measured.map { ($0.key.rawValue, $0.value) }),
            verdict: QualityVerdict(quality).description)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        // Every value is finite: a run stops at the first that is not.
        return String(decoding: (try? encoder.encode(summary)) ?? Data("{}".utf8), as: UTF8.self)
    }
}
