import Imaging
import NNCore

/// The source image as the networks see it: `[height, width, 3]`, RGB in [-1, 1].
public final class Exemplar: @unchecked Sendable {
    public let name: String
    public let image: Image
    public let tensor: Tensor
    /// Identifies the exemplar: FNV-1a of size and pixels, 16 hexadecimal digits.
    public let fingerprint: String

    public init(_ image: Image, name: String) {
        self.name = name
        self.image = image
        let memory = UnsafeMutablePointer<Float>.allocate(capacity: image.pixels.count)
        tensor = Tensor(memory, height: image.height, width: image.width, channels: 3)
        image.write(to: tensor)
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        for extent in [image.width, image.height] {
            for shift in 0..<4 { mix(UInt8(truncatingIfNeeded: extent >> (8 * shift))) }
        }
        for value in image.pixels { mix(value) }
        let digits = String(hash, radix: 16)
        fingerprint = String(repeating: "0", count: 16 - digits.count) + digits
    }

    deinit { tensor.data.deallocate() }
}
