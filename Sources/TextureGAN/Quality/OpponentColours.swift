import Imaging
import NNCore

/// An image in orthonormal opponent colours, in 8-bit steps: lightness `(R + G + B) / sqrt 3`, red against green
/// `(R - G) / sqrt 2`, yellow against blue `(R + G - 2 B) / sqrt 6`. Distances are those of RGB.
enum OpponentColours {
    static let lightness = Float(1.0 / 3).squareRoot()
    static let redGreen = Float(1.0 / 2).squareRoot()
    static let yellowBlue = Float(1.0 / 6).squareRoot()

    /// `[height, width, 3]`, in the arena.
    static func tensor(of image: Image, in workspace: Workspace) -> Tensor {
        let result = Tensor(in: workspace.arena, height: image.height, width: image.width, channels: 3)
        image.pixels.withUnsafeBufferPointer { pixels in
            workspace.pool.run(over: result.pixels, grain: 1 << 14) { range in
                for pixel in range {
                    let red = Float(pixels[3 * pixel])
                    let green = Float(pixels[3 * pixel + 1])
                    let blue = Float(pixels[3 * pixel + 2])
                    let target = result.data + 3 * pixel
                    target[0] = (red + green + blue) * lightness
                    target[1] = (red - green) * redGreen
                    target[2] = (red + green - 2 * blue) * yellowBlue
                }
            }
        }
        return result
    }
}
