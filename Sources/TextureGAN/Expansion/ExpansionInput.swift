import Imaging
import NNCore

/// What the generator gets: the image, or something random that is made of it.
public enum ExpansionInput: Equatable, Sendable, CustomStringConvertible {
    case image
    /// Blocks of the image in another order: so many across and down.
    case tiles(Int)
    /// In the image's colours.
    case noise

    /// Reads what ``description`` writes, and "tiles" for 4 tiles.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
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

    public var description: String {
        switch self {
        case .image: "image"
        case .tiles(let count): "tiles:\(count)"
        case .noise: "noise"
        }
    }

    /// In the names of results; nil for the image.
    var suffix: String? {
        switch self {
        case .image: nil
        case .tiles: "tiles"
        case .noise: "noise"
        }
    }

    /// The input of a variation, counted from 1; nil for the only result.
    /// - Throws: `ExpansionFailure` for an image that is too small.
    func made<Sample>(of picture: Raster<Sample>, name: String, variation: Int?, seed: UInt64) throws -> Raster<Sample>
    {
        var stream = RandomStream(seed: seed, purpose: UInt32(variation ?? 1))
        switch self {
        case .image:
            guard variation != nil else { return picture }
            let (width, height) = Self.cropSize(of: picture.width, picture.height)
            return picture.randomCrop(width: width, height: height, from: &stream)
        case .tiles(let count):
            try Self.requireRoom(for: count, name: name, width: picture.width, height: picture.height)
            return picture.shuffledTiles(count, from: &stream)
        case .noise: return picture.noise(from: &stream)
        }
    }

    /// The size of a variation's crop: half the image's sides, rounded up.
    static func cropSize(of width: Int, _ height: Int) -> (width: Int, height: Int) {
        ((width + 1) / 2, (height + 1) / 2)
    }

    /// - Throws: `ExpansionFailure` for an image that is too small for so many tiles.
    static func requireRoom(for tiles: Int, name: String, width: Int, height: Int) throws {
        guard min(width, height) >= 4 * tiles else {
            throw ExpansionFailure(
                "\(name) has \(width)x\(height) pixels; --input tiles:\(tiles) expects at least \(4 * tiles) a side: take "
                    + "fewer tiles")
        }
    }
}
