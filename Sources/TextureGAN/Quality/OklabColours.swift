import Imaging
import NNCore

/// An image in Oklab, where equal distances look about equal: lightness in 0...1, green to red, blue to yellow.
enum OklabColours {
    /// `[height, width, 3]`, in the arena.
    static func tensor(of image: Image, in workspace: Workspace) -> Tensor {
        let result = Tensor(in: workspace.arena, height: image.height, width: image.width, channels: 3)
        image.pixels.withUnsafeBufferPointer { pixels in
            workspace.pool.run(over: result.pixels, grain: 1 << 12) { range in
                for pixel in range {
                    let colour = ColourDistance.oklab(pixels[3 * pixel], pixels[3 * pixel + 1], pixels[3 * pixel + 2])
                    for channel in 0..<3 { result.data[3 * pixel + channel] = colour[channel] }
                }
            }
        }
        return result
    }

    /// The first channel, `[height, width, 1]`, in the arena.
    static func lightness(of colours: Tensor, in workspace: Workspace) -> Tensor {
        let result = Tensor(in: workspace.arena, height: colours.height, width: colours.width, channels: 1)
        workspace.pool.run(over: result.pixels, grain: 1 << 14) { range in
            for pixel in range { result.data[pixel] = colours.data[3 * pixel] }
        }
        return result
    }
}
