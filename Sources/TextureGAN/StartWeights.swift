import CStartWeights
import Foundation
import NNCore

/// What the networks' weights are when a training begins.
///
/// Networks that have learned drawn textures of all kinds know edges, surfaces and repetition already: an exemplar's
/// training reaches in a quarter of the iterations what it reaches from random weights (decision 12).
/// Each case is named by what its networks learned, their width, and the first digits of the file's SHA-256, so that a
/// recipe means the same weights in every version of texloom.
public enum StartWeights: String, Sendable, CaseIterable {
    case random
    /// From `scripts/pretrain`, in the executable, at half precision.
    case drawn = "drawn-16-f9b4edcb"

    /// The fields of a recipe that the networks in the file were made by, with their values.
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
    /// - Parameters: parameters of the recipe's networks, which have this `architecture`.
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
