import Base
import Foundation
import NNCore

/// The files of a training run: checkpoints to resume from, and networks to use. Names and layouts are PyTorch's.
enum Checkpoint {
    static let format = "texloom-checkpoint-1"
    private static let software = "texloom \(texloomVersion)"

    /// The approximate size of a trainer's checkpoint.
    static func sizeBytes(of trainer: Trainer) -> UInt64 {
        let floats = networks(of: trainer).flatMap(\.1).reduce(0) { $0 + arrays(of: $1).count * $1.layout.count }
        return UInt64(4 * floats + 8 * trainer.history.count * (2 + Trainer.columns.count))
    }

    /// Writes everything that training needs to resume bit for bit.
    static func write(_ trainer: Trainer, to url: URL) throws(SafetensorsError) {
        var metadata = [
            "format": format,
            "software": software,
            "recipe": trainer.recipe.yaml(),
            "exemplar": trainer.exemplar.fingerprint,
            "exemplar_name": trainer.exemplar.name,
            "iteration": String(trainer.iteration),
            "training_seconds": String(trainer.trainingSeconds),
            "crops_position": String(trainer.crops.stream.position),
            "dropout_position": String(trainer.dropout.position),
            "history_columns": Trainer.columns.joined(separator: ","),
        ]
        if trainer.recipe.styleEvery > 1 {
            metadata["style_loss"] = String(trainer.model.lastStyle.loss)
            metadata["style_gradient"] = String(trainer.model.lastStyle.gradient)
        }
        if trainer.exemplar.layout.isMaterial { metadata["maps"] = trainer.exemplar.layout.description }
        metadata["cpu_seconds"] = trainer.cpuSeconds.map { String($0) }
        metadata["generator_steps"] = String(trainer.model.generatorOptimiser.steps)
        metadata["discriminator_steps"] = String(trainer.model.discriminatorOptimiser.steps)
        var writer = SafetensorsWriter(metadata: metadata, hasChecksum: true)
        for (prefix, parameters) in networks(of: trainer) {
            for parameter in parameters {
                for (suffix, array) in arrays(of: parameter) {
                    writer.add("\(prefix).\(parameter.name)\(suffix)", shape: parameter.layout.fileShape) {
                        parameter.fileOrder(array)
                    }
                }
            }
        }
        let history = trainer.history
        writer.add(
            "history", shape: [history.count, 2 + Trainer.columns.count],
            history.flatMap { [Double($0.iteration), $0.unixSeconds] + $0.values.map(Double.init) })
        try writer.write(to: url)
    }

    /// Restores a checkpoint's state in a new trainer of the same recipe and exemplar.
    static func restore(_ trainer: Trainer, from url: URL) throws(TrainingError) {
        let file = try read(url, as: "checkpoint", isRetryable: true)
        guard file.hasValidChecksum != false else { throw damage(of: url) }
        let reader = CheckpointReader(file, url)
        do {
            try requireSameRun(trainer, reader)
            try restoreNetworks(of: trainer, file)
            trainer.history = try reader.history()
            try restoreProgress(of: trainer, reader)
        } catch {
            if let software = file.metadata["software"], software != Self.software {
                throw TrainingError(
                    .foreignCheckpoint, "checkpoint \(error); \(software) wrote it, this is \(Self.software)",
                    isRetryable: true)
            }
            throw TrainingError(.badCheckpoint, "checkpoint \(error)", isRetryable: true)
        }
    }

    /// - Throws: `SafetensorsError`, or `TrainingError` for a recipe that this version does not read.
    private static func requireSameRun(_ trainer: Trainer, _ reader: CheckpointReader) throws {
        try reader.expect("format", format, reader.anotherFormat)
        // It contains the layout of the maps.
        try reader.expect("exemplar", trainer.exemplar.fingerprint, "belongs to another exemplar")
        // By value: versions may differ in the words that explain the fields.
        let own = try Recipe(yaml: reader.text("recipe"), source: reader.url.path)
        guard
            try own == trainer.recipe
                || trainer.recipe.continues(own, from: reader.number("iteration", in: 0...own.iterations))
        else { throw reader.malformed("belongs to another recipe; resume with its own recipe") }
    }

    private static func restoreNetworks(of trainer: Trainer, _ file: Safetensors) throws(SafetensorsError) {
        for (prefix, parameters) in networks(of: trainer) {
            for parameter in parameters {
                for (suffix, array) in arrays(of: parameter) {
                    let name = "\(prefix).\(parameter.name)\(suffix)"
                    parameter.load(fileOrder: try file.floats(name, shape: parameter.layout.fileShape), into: array)
                }
            }
        }
    }

    /// Counters, times and the positions of random streams.
    private static func restoreProgress(of trainer: Trainer, _ reader: CheckpointReader) throws(SafetensorsError) {
        let iterations = trainer.recipe.iterations
        trainer.iteration = try reader.number("iteration", in: 0...iterations)
        trainer.trainingSeconds = try reader.number("training_seconds", in: 0...1e10)
        trainer.earlierCPUSeconds =
            reader.file.metadata["cpu_seconds"] == nil ? nil : try reader.number("cpu_seconds", in: 0...1e12)
        trainer.crops.stream.position = try reader.number("crops_position", in: 0...UInt64.max)
        trainer.dropout.position = try reader.number("dropout_position", in: 0...UInt64.max)
        if trainer.recipe.styleEvery > 1 {
            trainer.model.lastStyle = (
                loss: try reader.number("style_loss", in: 0...1e100),
                gradient: try reader.number("style_gradient", in: 0...1e100)
            )
        }
        trainer.model.generatorOptimiser.steps = try reader.number("generator_steps", in: 0...iterations)
        trainer.model.discriminatorOptimiser.steps = try reader.number("discriminator_steps", in: 0...iterations)
    }

    /// - Parameters:
    ///   - role: what the file is to its reader, for errors.
    ///   - isRetryable: whether another attempt may succeed if the contents are wrong.
    /// - Throws: `TrainingError` (badCheckpoint, or fileSystem if the system does not give the bytes).
    static func read(_ url: URL, as role: String, isRetryable: Bool = false) throws(TrainingError) -> Safetensors {
        do throws(SafetensorsError) {
            return try Safetensors(contentsOf: url)
        } catch {
            var isFolder: ObjCBool = false
            let exists = FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder)
            let name = role == "generator" ? "generator" : "last_checkpoint"
            let message =
                exists && isFolder.boolValue
                ? "\(url.path) is a folder; expected a file in it, such as \(name).safetensors" : "\(role) \(error)"
            throw TrainingError(.badCheckpoint, for: error, message, isRetryable: isRetryable)
        }
    }

    static func damage(of url: URL) -> TrainingError {
        TrainingError(
            .damagedCheckpoint,
            "checkpoint \(url.path): is damaged, its checksum is wrong; resume from the previous checkpoint",
            isRetryable: true)
    }

    /// Writes a network alone: values and running statistics.
    static func writeNetwork(
        _ parameters: [Parameter], kind: String, trainer: Trainer, to url: URL
    ) throws(SafetensorsError) {
        var origin = [
            "exemplar": trainer.exemplar.fingerprint, "exemplar_name": trainer.exemplar.name,
            "iteration": String(trainer.iteration),
        ]
        if trainer.exemplar.layout.isMaterial { origin["maps"] = trainer.exemplar.layout.description }
        try network(parameters, kind: kind, recipe: trainer.recipe, origin: origin).write(to: url)
    }

    /// - Parameter origin: metadata about the exemplar, its maps if it is a material, and the iteration.
    static func network(
        _ parameters: [Parameter], kind: String, recipe: Recipe, origin: [String: String]
    ) -> SafetensorsWriter {
        let metadata = ["format": "texloom-\(kind)-1", "software": software, "recipe": recipe.yaml()]
        var writer = SafetensorsWriter(metadata: metadata.merging(origin) { own, _ in own })
        for parameter in parameters {
            writer.add(parameter.name, shape: parameter.layout.fileShape) { parameter.fileOrder() }
        }
        return writer
    }

    private static func networks(of trainer: Trainer) -> [(String, [Parameter])] {
        [("generator", trainer.generator.parameters), ("discriminator", trainer.model.discriminatorParameters)]
            + (trainer.model.average.map { [("average", $0.generator.parameters)] } ?? [])
    }

    private static func arrays(of parameter: Parameter) -> [(String, UnsafeMutablePointer<Float>)] {
        guard let first = parameter.firstMoment, let second = parameter.secondMoment else {
            return [("", parameter.value)]
        }
        return [("", parameter.value), (".adam_m", first), (".adam_v", second)]
    }
}

extension Recipe {
    /// Whether training by this recipe can begin where a training by another one ended: nothing but the number of
    /// iterations differs, and is larger here. A training that has not ended is resumed by its own recipe.
    fileprivate func continues(_ other: Recipe, from iteration: Int) -> Bool {
        var longer = other
        longer.iterations = iterations
        return longer == self && iterations > other.iterations && iteration == other.iterations
    }
}
