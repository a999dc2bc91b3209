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

extension Image {
    /// Pixels in [-1, 1]: `x / 127.5 - 1`.
    func write(to tensor: Tensor) {
        precondition(tensor.height == height && tensor.width == width && tensor.channels == 3)
        for index in 0..<pixels.count { tensor.data[index] = Float(pixels[index]) / 127.5 - 1 }
    }

    /// The nearest 8-bit image of a tensor in [-1, 1].
    init(_ tensor: Tensor, cropWidth: Int, cropHeight: Int) {
        var pixels = [UInt8](repeating: 0, count: cropWidth * cropHeight * 3)
        for y in 0..<cropHeight {
            let row = tensor.data + y * tensor.width * 3
            for index in 0..<cropWidth * 3 { pixels[y * cropWidth * 3 + index] = Self.eightBits(row[index]) }
        }
        self.init(width: cropWidth, height: cropHeight, pixels: pixels)
    }

    /// The nearest 8-bit value of a value in [-1, 1]; 0 for NaN, which a diverged generator produces.
    static func eightBits(_ value: Float) -> UInt8 {
        let level = (value + 1) * 127.5
        guard level > 0 else { return 0 }
        return UInt8(min(level, 255).rounded(.toNearestOrEven))
    }
}
