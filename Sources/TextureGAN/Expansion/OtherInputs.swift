import Imaging
import NNCore

// The published method's other inputs, made of an exemplar: pieces of it in another order, and noise in its colours.
// Each is a pure function of the image and of the stream.

extension Raster {
    /// A part at a random place.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    public func randomCrop(width: Int, height: Int, from stream: inout RandomStream) -> Raster {
        let x = stream.integer(through: self.width - width)
        let y = stream.integer(through: self.height - height)
        return cropped(x: x, y: y, width: width, height: height)
    }

    /// `count` by `count` tiles in a random order. Columns and rows that no tile needs are dropped at the right and the
    /// bottom; both sides have at least `count` pixels.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    public func shuffledTiles(_ count: Int, from stream: inout RandomStream) -> Raster {
        let (wide, high) = (width / count, height / count)
        precondition(count > 0 && wide > 0 && high > 0)
        var order = Array(0..<count * count)
        // Fisher and Yates.
        for index in stride(from: order.count - 1, to: 0, by: -1) {
            order.swapAt(index, stream.integer(through: index))
        }
        var result = [Sample](repeating: 0, count: wide * count * high * count * channels)
        for (target, source) in order.enumerated() {
            for row in 0..<high {
                let from = ((source / count * high + row) * width + source % count * wide) * channels
                let to = ((target / count * high + row) * wide * count + target % count * wide) * channels
                for index in 0..<wide * channels { result[to + index] = pixels[from + index] }
            }
        }
        return Raster(width: wide * count, height: high * count, channels: channels, pixels: result)
    }

    /// Noise of the image's size in its colours, or a material's albedo, with its other maps: each level of the noise gets the mean colour of the pixels that have
    /// the same rank in brightness.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    public func noise(from stream: inout RandomStream) -> Raster {
        let values = GradientNoise(from: &stream).values(width: width, height: height)
        var brightness = [Int](repeating: 0, count: width * height)
        for pixel in brightness.indices {
            let first = channels * pixel
            let (red, green, blue) = (Int(pixels[first]), Int(pixels[first + 1]), Int(pixels[first + 2]))
            brightness[pixel] = Brightness.of(red, green, blue)
        }
        let (dark, low) = (brightness.sortedIndices, values.sortedIndices)
        var result = [Sample](repeating: 0, count: pixels.count)
        let levels = min(256, dark.count)
        for level in 0..<levels {
            let ranks = level * dark.count / levels..<(level + 1) * dark.count / levels
            for channel in 0..<channels {
                let sum = ranks.reduce(0) { $0 + Int(pixels[channels * dark[$1] + channel]) }
                let mean = Sample((sum + ranks.count / 2) / ranks.count)
                for rank in ranks { result[channels * low[rank] + channel] = mean }
            }
        }
        return Raster(width: width, height: height, channels: channels, pixels: result)
    }
}

/// Smooth noise of several scales.
/// - Source: Perlin, *Improving Noise*, SIGGRAPH 2002.
struct GradientNoise {
    private let stream: RandomStream

    init(from stream: inout RandomStream) {
        self.stream = stream
        _ = stream.next()
    }

    /// Row by row. Cells have an eighth of the longer side, then halves of that down to 4 pixels. Small cells count
    /// most: from inputs without detail, generators paint flat spots and false colours.
    func values(width: Int, height: Int) -> [Double] {
        var result = [Double](repeating: 0, count: width * height)
        var cell = max(4, max(width, height) / 8)
        var (octave, amplitude) = (0, 1.0)
        while cell >= 4 {
            for y in 0..<height {
                for x in 0..<width { result[y * width + x] += amplitude * value(x, y, cell: cell, octave) }
            }
            cell /= 2
            octave += 1
            amplitude *= 1.4
        }
        return result
    }

    private func value(_ x: Int, _ y: Int, cell: Int, _ octave: Int) -> Double {
        let (column, row) = (x / cell, y / cell)
        let (across, down) = (Double(x % cell) / Double(cell), Double(y % cell) / Double(cell))
        func fade(_ t: Double) -> Double { t * t * t * (t * (t * 6 - 15) + 10) }
        func corner(_ right: Int, _ below: Int) -> Double {
            let (gx, gy) = gradient(column + right, row + below, octave)
            return gx * (across - Double(right)) + gy * (down - Double(below))
        }
        let top = corner(0, 0) + fade(across) * (corner(1, 0) - corner(0, 0))
        let bottom = corner(0, 1) + fade(across) * (corner(1, 1) - corner(0, 1))
        return top + fade(down) * (bottom - top)
    }

    /// One of sixteen directions.
    private func gradient(_ column: Int, _ row: Int, _ octave: Int) -> (Double, Double) {
        let place = UInt64(octave) << 56 | UInt64(row) << 28 | UInt64(column)
        return Self.directions[Int(stream.block(at: stream.position &+ place)[0] % 16)]
    }

    /// Written out, because a library's sine may differ in the last bit.
    private static let directions: [(Double, Double)] = {
        let quarter = [
            (1, 0), (0.923_879_532_5, 0.382_683_432_4), (0.707_106_781_2, 0.707_106_781_2),
            (0.382_683_432_4, 0.923_879_532_5),
        ]
        return quarter.flatMap { x, y in [(x, y), (-y, x), (-x, -y), (y, -x)] }
    }()
}
