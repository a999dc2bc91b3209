import Imaging
import NNCore

/// The source image, or the maps of a material, as the networks see them: `[height, width, channels]` in [-1, 1].
public final class Exemplar: @unchecked Sendable {
    public let name: String
    /// The albedo of a material.
    public let image: Image
    /// Nil for a photograph.
    public let material: Material?
    public let tensor: Tensor
    public var layout: MapLayout { material?.layout ?? .picture }
    /// Identifies the exemplar: FNV-1a of size and pixels, and of a material's layout, 16 hexadecimal digits.
    public let fingerprint: String

    public init(_ image: Image, name: String) {
        self.name = name
        self.image = image
        material = nil
        tensor = Self.tensor(of: image)
        var hash = Fingerprint(width: image.width, height: image.height)
        for value in image.pixels { hash.mix(value) }
        fingerprint = hash.digits
    }

    /// - Parameter name: nil for the material's.
    public init(_ material: Material, name: String? = nil) {
        self.name = name ?? material.name
        image = material.albedo
        self.material = material
        tensor = Self.tensor(of: material.pixels)
        var hash = Fingerprint(width: image.width, height: image.height)
        for byte in material.layout.description.utf8 { hash.mix(byte) }
        for value in material.pixels.pixels {
            hash.mix(UInt8(truncatingIfNeeded: value))
            hash.mix(UInt8(value >> 8))
        }
        fingerprint = hash.digits
    }

    private static func tensor<Sample>(of image: Raster<Sample>) -> Tensor {
        let memory = UnsafeMutablePointer<Float>.allocate(capacity: image.pixels.count)
        let tensor = Tensor(memory, height: image.height, width: image.width, channels: image.channels)
        image.write(to: tensor)
        return tensor
    }

    private struct Fingerprint {
        private var hash: UInt64 = 0xCBF2_9CE4_8422_2325

        init(width: Int, height: Int) {
            for extent in [width, height] {
                for shift in 0..<4 { mix(UInt8(truncatingIfNeeded: extent >> (8 * shift))) }
            }
        }

        mutating func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }

        var digits: String {
            let digits = String(hash, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
    }

    deinit { tensor.data.deallocate() }
}
