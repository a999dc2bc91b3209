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
    /// The parameters belong to networks of this `architecture`.
    func load(generator: [Parameter], discriminator: [Parameter]) throws(TrainingError) {
        guard self != .random else { return }
        do {
            let file = try Safetensors(Self.embeddedFile, file: rawValue)
            for (prefix, parameters) in [("generator.", generator), ("discriminator.", discriminator)] {
                for parameter in parameters where parameter.isTrained {
                    parameter.load(
                        fileOrder: try file.halves(prefix + parameter.name, shape: parameter.layout.fileShape))
                }
            }
        } catch {
            throw TrainingError(.badWeights, "start weights \(error)")
        }
    }
}
