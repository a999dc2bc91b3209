import Imaging
import NNCore

/// Using a generator: an image in, its texture at twice the size out.
///
/// The input's pixels are not kept; the result is a new texture that follows the input's structure.
public enum Expansion {
    /// Exactly twice the size for any size: the input is padded by reflection to multiples of 4 (at the right and the
    /// bottom), the output cropped.
    /// - Parameter statistics: `.image`, the image's own, or `.running`, the training's averages.
    public static func expand(
        _ image: Image, with generator: Generator, statistics: BatchNorm.Statistics = .image, in workspace: Workspace
    ) -> Image {
        workspace.arena.scoped {
            let output = generator.infer(padded(image, in: workspace.arena), statistics: statistics, in: workspace)
            return Image(output, cropWidth: 2 * image.width, cropHeight: 2 * image.height)
        }
    }

    /// The image in [-1, 1], its sides rounded up to multiples of 4 and to at least 16, below which reflection by the
    /// network's own padding would run out of pixels.
    private static func padded(_ image: Image, in arena: Arena) -> Tensor {
        func roundedUp(_ side: Int) -> Int { max(16, (side + 3) / 4 * 4) }
        let result = Tensor(
            in: arena, height: roundedUp(image.height), width: roundedUp(image.width), channels: 3)
        /// Mirrors back and forth, so that even a single row fills any height.
        func mirrored(_ position: Int, _ length: Int) -> Int {
            if length == 1 { return 0 }
            let period = 2 * (length - 1)
            let phase = position % period
            return phase < length ? phase : period - phase
        }
        for y in 0..<result.height {
            let row = mirrored(y, image.height) * image.width
            for x in 0..<result.width {
                let source = (row + mirrored(x, image.width)) * 3
                for channel in 0..<3 {
                    result.data[(y * result.width + x) * 3 + channel] =
                        Float(image.pixels[source + channel]) / 127.5 - 1
                }
            }
        }
        return result
    }
}
