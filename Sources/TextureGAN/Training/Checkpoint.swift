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
        var software: String?
        do {
            let file = try Safetensors(contentsOf: url)
            guard file.hasValidChecksum != false else { throw damage(of: url) }
            software = file.metadata["software"]
            func text(_ key: String) throws(SafetensorsError) -> String {
                guard let value = file.metadata[key] else {
                    throw SafetensorsError(file: url.path, problem: "lacks '\(key)': not a texloom checkpoint")
                }
                return value
            }
            func number<Number: LosslessStringConvertible & Comparable>(
                _ key: String, in range: ClosedRange<Number>
            ) throws(SafetensorsError) -> Number {
                let value = try text(key)
                guard let number = Number(value), range.contains(number) else {
                    throw SafetensorsError(
                        file: url.path,
                        problem:
                            "'\(key)' is '\(value)', expected a number from \(range.lowerBound) to \(range.upperBound)")
                }
                return number
            }
            func expect(_ key: String, _ value: String, _ explanation: String) throws(SafetensorsError) {
                guard try text(key) == value else { throw SafetensorsError(file: url.path, problem: explanation) }
            }
            try expect("format", format, "is of format '\(file.metadata["format"] ?? "?")', expected \(format)")
            // It contains the layout of the maps.
            try expect("exemplar", trainer.exemplar.fingerprint, "belongs to another exemplar")
            // By value: versions may differ in the words that explain the fields.
            let own = try Recipe(yaml: text("recipe"), source: url.path)
            guard
                try own == trainer.recipe
                    || trainer.recipe.continues(own, from: number("iteration", in: 0...own.iterations))
            else {
                throw SafetensorsError(
                    file: url.path, problem: "belongs to another recipe; resume with its own recipe")
            }
            for (prefix, parameters) in networks(of: trainer) {
                for parameter in parameters {
                    for (suffix, array) in arrays(of: parameter) {
                        let name = "\(prefix).\(parameter.name)\(suffix)"
                        parameter.load(
                            fileOrder: try file.floats(name, shape: parameter.layout.fileShape), into: array)
                    }
                }
            }
            let history = try file.doubles("history")
            let width = 2 + Trainer.columns.count
            guard let shape = file.entries["history"]?.shape, shape.count == 2, shape[1] == width else {
                throw SafetensorsError(file: url.path, problem: "has a loss history of another version")
            }
            var rows: [TrainingRun.MetricsRow] = []
            for start in stride(from: 0, to: history.count, by: width) {
                guard let iteration = Int(exactly: history[start]) else {
                    throw SafetensorsError(
                        file: url.path, problem: "has a loss history with iteration \(history[start])")
                }
                rows.append(
                    TrainingRun.MetricsRow(
                        iteration: iteration, unixSeconds: history[start + 1],
                        values: history[start + 2..<start + width].map { Float($0) }))
            }
            trainer.history = rows
            trainer.iteration = try number("iteration", in: 0...trainer.recipe.iterations)
            trainer.trainingSeconds = try number("training_seconds", in: 0...1e10)
            trainer.earlierCPUSeconds =
                file.metadata["cpu_seconds"] == nil ? nil : try number("cpu_seconds", in: 0...1e12)
            trainer.crops.stream.position = try number("crops_position", in: 0...UInt64.max)
            trainer.dropout.position = try number("dropout_position", in: 0...UInt64.max)
            if trainer.recipe.styleEvery > 1 {
                trainer.model.lastStyle = (
                    loss: try number("style_loss", in: 0...1e100), gradient: try number("style_gradient", in: 0...1e100)
                )
            }
            trainer.model.generatorOptimiser.steps = try number("generator_steps", in: 0...trainer.recipe.iterations)
            trainer.model.discriminatorOptimiser.steps = try number(
                "discriminator_steps", in: 0...trainer.recipe.iterations)
        } catch let error as TrainingError where error.code == .damagedCheckpoint {
            throw error
        } catch {
            if let software, software != Self.software {
                throw TrainingError(
                    .foreignCheckpoint, "checkpoint \(error); \(software) wrote it, this is \(Self.software)",
                    isRetryable: true)
            }
            throw TrainingError(.badCheckpoint, "checkpoint \(error)", isRetryable: true)
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

extension Generator {
    /// Loads a trained generator and its recipe from its file or from a checkpoint.
    ///
    /// Files of other implementations have no recipe: the tensors' shapes give width and block count, and the recipe's
    /// defaults the rest. Files without a layout of maps are of RGB.
    /// - Throws: `TrainingError` with the file and its fault.
    public static func load(contentsOf url: URL) throws(TrainingError) -> (generator: Generator, recipe: Recipe) {
        do {
            let file = try Safetensors(contentsOf: url)
            let isCheckpoint = file.metadata["format"] == Checkpoint.format
            guard !isCheckpoint || file.hasValidChecksum != false else { throw Checkpoint.damage(of: url) }
            // As the run itself writes it: the averaged weights if the recipe has them.
            let isAveraged = file.entries["average.head.weight"] != nil
            let prefix = !isCheckpoint ? "" : isAveraged ? "average." : "generator."
            var recipe = Recipe.paper
            if let yaml = file.metadata["recipe"] {
                recipe = try Recipe(yaml: yaml, source: url.path)
            } else {
                guard let head = file.entries["head.weight"], head.shape.count == 4, head.shape[0] > 0 else {
                    throw SafetensorsError(file: url.path, problem: "has no head.weight: not a generator")
                }
                recipe.generatorWidth = head.shape[0]
                recipe.residualBlocks = (0..<64).prefix { file.entries["blocks.\($0).conv1.weight"] != nil }.count
                if file.entries["head_bn.weight"] == nil {
                    recipe.norm = .none
                } else if file.entries["head_bn.running_mean"] == nil {
                    recipe.norm = .instance
                }
            }
            try checkSize(of: recipe, in: file, prefix, url)
            var layout = MapLayout.picture
            if let text = file.metadata["maps"] {
                guard let found = MapLayout(text) else {
                    throw SafetensorsError(
                        file: url.path,
                        problem: "has the maps '\(text)', which this version of texloom does not know; expected some of"
                            + " \(MapKind.allCases.map(\.rawValue).joined(separator: ","))")
                }
                layout = found
            }
            let generator = Generator(recipe, layout, trained: false)
            for parameter in generator.parameters {
                let values = try file.floats(prefix + parameter.name, shape: parameter.layout.fileShape)
                guard values.allSatisfy(\.isFinite) else {
                    throw SafetensorsError(
                        file: url.path,
                        problem: "tensor \(prefix)\(parameter.name) has values that are not finite: its training "
                            + "diverged, or the file is damaged; take another generator")
                }
                parameter.load(fileOrder: values)
            }
            return (generator, recipe)
        } catch let error as TrainingError {
            throw error
        } catch {
            throw TrainingError(.badCheckpoint, "generator \(error)")
        }
    }

    /// The generator of a checkpoint as a file of its own: the bytes that the run writes if it ends there.
    /// - Throws: `TrainingError` with the file and its fault.
    public static func file(fromCheckpoint url: URL) throws(TrainingError) -> Data {
        let metadata: [String: String]
        do {
            metadata = try Safetensors(contentsOf: url).metadata
            guard metadata["format"] == Checkpoint.format else {
                throw SafetensorsError(
                    file: url.path,
                    problem: "is of format '\(metadata["format"] ?? "?")', expected \(Checkpoint.format)")
            }
        } catch {
            throw TrainingError(.badCheckpoint, "checkpoint \(error)")
        }
        let (generator, recipe) = try load(contentsOf: url)
        let origin = metadata.filter { ["exemplar", "exemplar_name", "iteration", "maps"].contains($0.key) }
        return Checkpoint.network(generator.parameters, kind: "generator", recipe: recipe, origin: origin).encoded()
    }

    /// Checks that the file has the weights of its recipe before the network allocates them: a small file may claim a
    /// huge network.
    private static func checkSize(
        of recipe: Recipe, in file: Safetensors, _ prefix: String, _ url: URL
    ) throws(SafetensorsError) {
        guard (1...512).contains(recipe.generatorWidth) else {
            throw SafetensorsError(
                file: url.path, problem: "has \(recipe.generatorWidth) channels in its first layer; expected 1 to 512")
        }
        let wide = 4 * recipe.generatorWidth
        let halves = (0..<recipe.residualBlocks).flatMap { ["blocks.\($0).conv1.weight", "blocks.\($0).conv2.weight"] }
        for (name, outputs) in [("widen.weight", 2 * wide)] + halves.map({ ($0, wide) }) {
            let shape = [outputs, wide, 3, 3]
            let entry = file.entries[prefix + name]
            guard entry?.shape == shape else {
                let found = entry.map { "has the shape \($0.shape)" } ?? "is missing"
                throw SafetensorsError(file: url.path, problem: "tensor \(prefix)\(name) \(found), expected \(shape)")
            }
        }
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
