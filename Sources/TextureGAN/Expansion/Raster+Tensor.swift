import Imaging
import NNCore

extension PictureSample {
    /// The nearest sample of a value in [-1, 1]; 0 for NaN, which a diverged generator produces.
    static func nearest(to value: Float) -> Self {
        let top = Float(Self.max)
        let level = (value + 1) * (top / 2)
        guard level > 0 else { return 0 }
        return Self(Swift.min(level, top).rounded(.toNearestOrEven))
    }
}

extension Expansion {
    /// A side rounded up to a multiple of 4, and to at least 16, below which reflection by the network's own padding would
    /// run out of pixels.
    static func padded(_ side: Int) -> Int { max(16, (side + 3) / 4 * 4) }
}

extension Raster {
    /// Pixels in [-1, 1]: `x / 127.5 - 1` for 8 bits.
    func write(to tensor: Tensor) {
        precondition(tensor.height == height && tensor.width == width && tensor.channels == channels)
        let half = Float(Sample.max) / 2
        for index in 0..<pixels.count { tensor.data[index] = Float(pixels[index]) / half - 1 }
    }

    var paddedHeight: Int { Expansion.padded(height) }
    var paddedWidth: Int { Expansion.padded(width) }

    /// The image in [-1, 1], its sides rounded up.
    func padded(in arena: Arena) -> Tensor {
        let result = Tensor(in: arena, height: paddedHeight, width: paddedWidth, channels: channels)
        write(from: (0, 0), to: result)
        return result
    }

    /// Writes the pixels from `corner`, in [-1, 1]. Beyond the image they are mirrored back and forth, so that even a
    /// single row fills any height.
    func write(from corner: (y: Int, x: Int), to target: Tensor) {
        let half = Float(Sample.max) / 2
        for y in 0..<target.height {
            let row = mirroredPosition(corner.y + y, height) * width
            for x in 0..<target.width {
                let source = (row + mirroredPosition(corner.x + x, width)) * channels
                for channel in 0..<channels {
                    let value = Float(pixels[source + channel]) / half - 1
                    target.data[(y * target.width + x) * channels + channel] = value
                }
            }
        }
    }
}
