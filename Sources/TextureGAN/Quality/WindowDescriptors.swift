import Imaging
import NNCore

/// Describes square windows of an image by 24 numbers: lightness of 4x4 cells, and both opponent colours of 2x2 cells.
///
/// Their distances are those of the windows at a coarse resolution. A summed-area table yields any window's in a few
/// steps.
/// - Source: Crow, "Summed-area tables for texture mapping" (1984).
struct WindowDescriptors {
    static let count = 24

    let height: Int
    let width: Int
    /// `[height + 1, width + 1, 3]`: sums of R, G, B above and to the left. They wrap around; differences do not.
    private let sums: UnsafeMutablePointer<UInt32>

    /// The table is in the arena.
    init(_ image: Image, in workspace: Workspace) {
        height = image.height
        width = image.width
        let stride = 3 * (width + 1)
        let count = (height + 1) * stride
        sums = UnsafeMutableRawPointer(workspace.arena.floats(count)).bindMemory(to: UInt32.self, capacity: count)
        sums.update(repeating: 0, count: stride)
        image.pixels.withUnsafeBufferPointer { pixels in
            for y in 0..<height {
                var row: (UInt32, UInt32, UInt32) = (0, 0, 0)
                let above = sums + y * stride
                let target = above + stride
                (target[0], target[1], target[2]) = (0, 0, 0)
                for x in 0..<width {
                    let pixel = 3 * (y * width + x)
                    row.0 &+= UInt32(pixels[pixel])
                    row.1 &+= UInt32(pixels[pixel + 1])
                    row.2 &+= UInt32(pixels[pixel + 2])
                    let place = 3 * (x + 1)
                    target[place] = above[place] &+ row.0
                    target[place + 1] = above[place + 1] &+ row.1
                    target[place + 2] = above[place + 2] &+ row.2
                }
            }
        }
    }

    /// - Parameters:
    ///   - side: a multiple of 4.
    ///   - target: room for `count` numbers.
    func describe(y: Int, x: Int, side: Int, into target: UnsafeMutablePointer<Float>) {
        let cell = side / 4
        let stride = 3 * (width + 1)
        let share = 1 / Float(cell * cell)
        for index in 16..<Self.count { target[index] = 0 }
        for row in 0..<4 {
            for column in 0..<4 {
                let top = sums + (y + row * cell) * stride + 3 * (x + column * cell)
                let bottom = top + cell * stride
                func mean(_ channel: Int) -> Float {
                    let (a, b) = (top[channel], top[channel + 3 * cell])
                    let (c, d) = (bottom[channel], bottom[channel + 3 * cell])
                    // Around mid grey, which costs squares no digits.
                    return Float(d &- b &- c &+ a) * share - 127.5
                }
                let (red, green, blue) = (mean(0), mean(1), mean(2))
                target[4 * row + column] = (red + green + blue) * OpponentColours.lightness
                // A quarter of each of four cells, twice because it stands for four.
                let quarter = 16 + row / 2 * 2 + column / 2
                target[quarter] += (red - green) * OpponentColours.redGreen / 2
                target[quarter + 4] += (red + green - 2 * blue) * OpponentColours.yellowBlue / 2
            }
        }
    }
}
