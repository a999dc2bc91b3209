import CStartWeights
import Foundation
import NNCore

/// The networks' weights at the start of a training.
///
/// Networks trained on drawn textures of all kinds already know edges, surfaces and repetition: from them a training
/// needs a quarter of the iterations (decision 12). A case's name consists of the kind of textures, the networks'
/// width, and the first digits of the file's SHA-256, so that a recipe means the same weights in every version of
/// texloom.
public enum StartWeights: String, Sendable, CaseIterable {
    case random
    /// Made by `scripts/pretrain`; embedded in the executable at half precision.
    case drawn = "drawn-16-f9b4edcb"

    /// The recipe fields that describe the networks in the file, with their values.
    var architecture: [(key: String, value: String)] {
        switch self {
        case .random: []
        case .drawn:
            [
                ("ngf", "16"), ("blocks", "4"), ("ndf", "16"), ("discriminator_layers", "3"), ("norm", "none"),
                ("discriminator_norm", "batch"), ("second_discriminator", "none"), ("upsample", "nearest"),
            ]
        }
    }

    /// The file of `drawn`.
    static var embeddedFile: Data {
        Data(
            bytesNoCopy: UnsafeMutableRawPointer(mutating: texloom_start_weights()),
            count: texloom_start_weights_size(), deallocator: .none)
    }

    /// Overwrites initial weights; running averages stay as they are.
    ///
    /// The file's networks see RGB. In networks for a material, the other channels begin with zero weights: the layers
    /// that see a picture do not see them, and the layer that makes one makes middle grey (decision 19).
    /// The parameters belong to networks of this `architecture`.
    func load(generator: [Parameter], discriminator: [Parameter]) throws(TrainingError) {
        guard self != .random else { return }
        do {
            let file = try Safetensors(Self.embeddedFile, file: rawValue)
            for (prefix, parameters) in [("generator.", generator), ("discriminator.", discriminator)] {
                for parameter in parameters where parameter.isTrained {
                    try Self.load(parameter, named: prefix + parameter.name, from: file)
                }
            }
        } catch {
            throw TrainingError(.badWeights, "start weights \(error)")
        }
    }

    private static func load(
        _ parameter: Parameter, named name: String, from file: Safetensors
    ) throws(SafetensorsError) {
        let shape = parameter.layout.fileShape
        var stored = shape
        if ["head.weight", "first.weight"].contains(where: parameter.name.hasSuffix) { stored[1] = 3 }
        if parameter.name.hasPrefix("tail.") { stored[0] = 3 }
        let values = try file.halves(name, shape: stored)
        if stored == shape { return parameter.load(fileOrder: values) }
        var merged = [Float](repeating: 0, count: parameter.count)
        // Values of an output channel, of the file's and of this parameter's.
        let (few, many) = (values.count / stored[0], merged.count / shape[0])
        for output in 0..<stored[0] {
            for index in 0..<few { merged[output * many + index] = values[output * few + index] }
        }
        parameter.load(fileOrder: merged)
    }
}
