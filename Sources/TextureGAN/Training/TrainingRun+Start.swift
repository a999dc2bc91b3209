import Base
import Foundation
import Imaging
import NNCore
import OperatingSystem

extension TrainingRun {
    /// Trains to the end, or until `wish` says otherwise.
    ///
    /// Reports arrive on the calling thread; training waits while they are handled. Iteration 0 has no snapshot; the
    /// last iteration always has a snapshot and a checkpoint. While the disk takes no files training continues; the run
    /// waits for its last files.
    /// - Parameter wish: asked after every iteration.
    /// - Throws: `TrainingError`; its `isRetryable` says whether another attempt may succeed.
    public static func run(
        _ input: Input, wish: () -> Wish, report: (Report) -> Void
    ) throws(TrainingError) -> Outcome {
        try run(input, patience: Patience(), wish: wish, report: report)
    }

    static func run(
        _ input: Input, patience: Patience, wish: () -> Wish, report: (Report) -> Void
    ) throws(TrainingError) -> Outcome {
        let (exemplar, notes) = try readExemplar(input)
        let trainer = try Trainer(
            exemplar: exemplar, recipe: input.recipe, threads: input.threads, concurrentRuns: input.concurrentRuns)
        if let checkpoint = input.checkpoint { try trainer.restore(from: checkpoint) }
        for note in notes { report(.log(level: .info, message: note)) }
        report(.log(level: .info, message: describe(trainer, input)))
        report(.started(iteration: trainer.iteration, totalIterations: input.recipe.iterations))
        return try withoutActuallyEscaping(wish) { (wish) throws(TrainingError) in
            try withoutActuallyEscaping(report) { (report) throws(TrainingError) in
                try TrainingLoop(input, trainer, patience, wish: wish, report: report).run()
            }
        }
    }

    private static func readExemplar(_ input: Input) throws(TrainingError) -> (Exemplar, notes: [String]) {
        switch input.exemplar {
        case .photograph(let file): return try readPhotograph(file, input)
        case .material(let files):
            let (material, notes) = try files.read()
            // The networks' files have the name, which does not depend on the folder where the material is.
            return (Exemplar(material, name: input.exemplarName), notes)
        }
    }

    private static func readPhotograph(
        _ file: URL, _ input: Input
    ) throws(TrainingError) -> (Exemplar, notes: [String]) {
        let data: Data
        do {
            data = try Data(contentsOf: file)
        } catch {
            throw TrainingError(
                .fileSystem, "\(input.exemplarName) cannot be read: \(error.systemReason)", isRetryable: true)
        }
        do {
            let decoded = try DecodedImage(data, name: input.exemplarName, limits: .exemplar)
            return (
                Exemplar(decoded.image, name: input.exemplarName), decoded.notes.map { "\(input.exemplarName): \($0)" }
            )
        } catch {
            throw TrainingError(.badExemplar, "\(error)")
        }
    }

    private static func describe(_ trainer: Trainer, _ input: Input) -> String {
        let recipe = trainer.recipe
        let image = trainer.exemplar.image
        let start = trainer.iteration > 0 ? ", resumed at iteration \(trainer.iteration)" : ""
        let style =
            recipe.style.map { "\($0.rawValue) (\(recipe.styleInput.rawValue) input)" }
            ?? "off, so without quality_gram"
        let maps = trainer.exemplar.layout.isMaterial ? ", maps \(trainer.exemplar.layout)" : ""
        return "training \(input.exemplarName) (\(image.width)x\(image.height)\(maps)) with recipe '\(recipe.name)': "
            + "k=\(trainer.k), \(recipe.iterations) iterations, style \(style), \(counted(input.threads, "thread"))\(start)"
    }
}
