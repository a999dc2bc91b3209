import ArgumentParser
import Imaging
import NNCore
import TextureGAN

/// What the generator gets: the image, or something random that is made of it.
enum ExpansionInput: ExpressibleByArgument, Equatable {
    case image
    /// Blocks of the image in another order: so many across and down.
    case tiles(Int)
    /// In the image's colours.
    case noise

    init?(argument: String) {
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
        switch (parts[0], parts.count) {
        case ("image", 1): self = .image
        case ("noise", 1): self = .noise
        case ("tiles", 1): self = .tiles(4)
        case ("tiles", 2):
            guard let count = Int(parts[1]), (2...64).contains(count) else { return nil }
            self = .tiles(count)
        default: return nil
        }
    }

    static let allValueStrings = ["image", "tiles", "tiles:N", "noise"]

    var defaultValueDescription: String { "image" }

    /// The input of a variation, counted from 1; nil for the only result.
    /// - Throws: `CommandFailure` for an image that is too small.
    func made<Sample>(of picture: Raster<Sample>, name: String, variation: Int?, seed: UInt64) throws -> Raster<Sample>
    {
        var stream = RandomStream(seed: seed, purpose: UInt32(variation ?? 1))
        switch self {
        case .image:
            guard variation != nil else { return picture }
            return picture.randomCrop(
                width: (picture.width + 1) / 2, height: (picture.height + 1) / 2, from: &stream)
        case .tiles(let count):
            guard min(picture.width, picture.height) >= 4 * count else {
                throw CommandFailure(
                    "\(name) has \(picture.width)x\(picture.height) pixels; --input tiles:\(count) expects at least "
                        + "\(4 * count) a side: take fewer tiles", exit: .usage)
            }
            return picture.shuffledTiles(count, from: &stream)
        case .noise: return picture.noise(from: &stream)
        }
    }
}
