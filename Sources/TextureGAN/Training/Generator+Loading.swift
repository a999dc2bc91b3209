import Foundation
import NNCore

extension Generator {
    /// Loads a trained generator and its recipe from its file or from a checkpoint.
    ///
    /// Files of other implementations have no recipe: the tensors' shapes give width and block count, and the recipe's
    /// defaults the rest. Files without a layout of maps are of RGB.
    /// - Throws: `TrainingError` with the file and its fault.
    public static func load(contentsOf url: URL) throws(TrainingError) -> (generator: Generator, recipe: Recipe) {
        let source = GeneratorFile(try Checkpoint.read(url, as: "generator"), url)
        guard !source.isCheckpoint || source.file.hasValidChecksum != false else { throw Checkpoint.damage(of: url) }
        let recipe = try source.recipe()
        do throws(SafetensorsError) {
            try source.checkSize(of: recipe)
            let generator = Generator(recipe, try source.layout(), trained: false)
            for parameter in generator.parameters {
                parameter.load(fileOrder: try source.values(of: parameter))
            }
            return (generator, recipe)
        } catch {
            throw TrainingError(.badCheckpoint, "generator \(error)")
        }
    }

    /// The generator of a checkpoint as a file of its own: the bytes that the run writes if it ends there.
    /// - Throws: `TrainingError` with the file and its fault.
    public static func file(fromCheckpoint url: URL) throws(TrainingError) -> Data {
        let reader = CheckpointReader(try Checkpoint.read(url, as: "checkpoint"), url)
        let metadata = reader.file.metadata
        guard metadata["format"] == Checkpoint.format else {
            if reader.file.entries["head.weight"] != nil {
                throw TrainingError(
                    .badCheckpoint, "\(url.path) is a generator already; expand and export take it as it is")
            }
            throw TrainingError(.badCheckpoint, "checkpoint \(reader.malformed(reader.anotherFormat))")
        }
        let (generator, recipe) = try load(contentsOf: url)
        let origin = metadata.filter { ["exemplar", "exemplar_name", "iteration", "maps"].contains($0.key) }
        return Checkpoint.network(generator.parameters, kind: "generator", recipe: recipe, origin: origin).encoded()
    }
}

/// A generator's file, or a checkpoint with one.
private struct GeneratorFile {
    let file: Safetensors
    let isCheckpoint: Bool
    private let url: URL
    /// Of the names of the generator's tensors.
    private let prefix: String

    init(_ file: Safetensors, _ url: URL) {
        self.file = file
        self.url = url
        isCheckpoint = file.metadata["format"] == Checkpoint.format
        // As the run itself writes it: the averaged weights if the recipe has them.
        let isAveraged = file.entries["average.head.weight"] != nil
        prefix = !isCheckpoint ? "" : isAveraged ? "average." : "generator."
    }

    /// - Throws: `TrainingError`: badRecipe, or badCheckpoint for a file with neither a recipe nor a generator.
    func recipe() throws(TrainingError) -> Recipe {
        if let yaml = file.metadata["recipe"] { return try Recipe(yaml: yaml, source: url.path) }
        guard let head = file.entries["head.weight"], head.shape.count == 4, head.shape[0] > 0 else {
            throw TrainingError(.badCheckpoint, "generator \(malformed("has no head.weight: not a generator"))")
        }
        var recipe = Recipe.paper
        recipe.generatorWidth = head.shape[0]
        recipe.residualBlocks = (0..<64).prefix { file.entries["blocks.\($0).conv1.weight"] != nil }.count
        if file.entries["head_bn.weight"] == nil {
            recipe.norm = .without
        } else if file.entries["head_bn.running_mean"] == nil {
            recipe.norm = .instance
        }
        return recipe
    }

    func layout() throws(SafetensorsError) -> MapLayout {
        guard let text = file.metadata["maps"] else { return .picture }
        guard let layout = MapLayout(text) else {
            throw malformed(
                "has the maps '\(text)', which this version of texloom does not know; expected some of"
                    + " \(MapKind.allCases.map(\.rawValue).joined(separator: ","))")
        }
        return layout
    }

    func values(of parameter: Parameter) throws(SafetensorsError) -> [Float] {
        let name = prefix + parameter.name
        let values = try file.floats(name, shape: parameter.layout.fileShape)
        guard values.allSatisfy(\.isFinite) else {
            throw malformed(
                "tensor \(name) has values that are not finite: its training diverged, or the file is damaged; take "
                    + "another generator")
        }
        return values
    }

    /// Checks that the file has the weights of its recipe before the network allocates them: a small file may claim a
    /// huge network.
    func checkSize(of recipe: Recipe) throws(SafetensorsError) {
        guard (1...512).contains(recipe.generatorWidth) else {
            throw malformed("has \(recipe.generatorWidth) channels in its first layer; expected 1 to 512")
        }
        let wide = 4 * recipe.generatorWidth
        let halves = (0..<recipe.residualBlocks).flatMap { ["blocks.\($0).conv1.weight", "blocks.\($0).conv2.weight"] }
        for (name, outputs) in [("widen.weight", 2 * wide)] + halves.map({ ($0, wide) }) {
            let shape = [outputs, wide, 3, 3]
            let entry = file.entries[prefix + name]
            guard entry?.shape == shape else {
                let found = entry.map { "has the shape \($0.shape)" } ?? "is missing"
                throw malformed("tensor \(prefix)\(name) \(found), expected \(shape)")
            }
        }
    }

    private func malformed(_ problem: String) -> SafetensorsError {
        SafetensorsError(.malformed, file: url.path, problem: problem)
    }
}
