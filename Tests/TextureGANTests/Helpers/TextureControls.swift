import Foundation
import Imaging
import NNCore

/// Images with a known quality as expansions of an exemplar.
enum TextureControls {
    /// An exemplar of Examples/.
    static func example(_ name: String) throws -> Image {
        try Image(contentsOf: projectFolder.appendingPathComponent("Examples/\(name).png"))
    }

    /// An example's formula at twice the layout, with elements of unchanged size: a perfect expansion.
    ///
    /// Made by `scripts/draw-examples --layout 2 --jpeg 92 --out Tests/TextureGANTests/Fixtures/continuations`.
    static func continuation(_ name: String) throws -> Image {
        try Image(contentsOf: fixturesFolder.appendingPathComponent("continuations/\(name).jpg"))
    }

    /// A window of an endless pavement of stones (Voronoi cells, about 20 pixels wide), computed by a formula.
    static func pavement(x left: Int, y top: Int, width: Int, height: Int) -> Image {
        func lattice(_ x: Int, _ y: Int, _ index: UInt32) -> Double {
            let stream = RandomStream(seed: UInt64(bitPattern: Int64(y)), purpose: 77)
            return Double(stream.block(at: UInt64(bitPattern: Int64(x)))[Int(index)] >> 8) * 0x1p-24
        }
        return drawn(width: width, height: height) { x, y in
            let (u, v) = (Double(x + left) / 20, Double(y + top) / 20)
            var (near, second, shade) = (Double.infinity, Double.infinity, 0.0)
            for cellY in Int(v.rounded(.down)) - 1...Int(v.rounded(.down)) + 1 {
                for cellX in Int(u.rounded(.down)) - 1...Int(u.rounded(.down)) + 1 {
                    let distance = hypot(
                        Double(cellX) + 0.1 + 0.8 * lattice(cellX, cellY, 0) - u,
                        Double(cellY) + 0.1 + 0.8 * lattice(cellX, cellY, 1) - v)
                    if distance < near {
                        (near, second, shade) = (distance, near, lattice(cellX, cellY, 2))
                    } else {
                        second = min(second, distance)
                    }
                }
            }
            let edge = min(1, (second - near) * 4)
            let grain = 24 * (lattice(x + left, y + top + 1_000_000, 3) - 0.5)
            return [100 + 120 * shade, 110 + 60 * shade, 140 - 60 * shade].map { 30 + edge * ($0 - 30) + grain }
        }
    }

    static func drawn(width: Int, height: Int, _ colour: (_ x: Int, _ y: Int) -> [Double]) -> Image {
        var pixels: [UInt8] = []
        pixels.reserveCapacity(width * height * 3)
        for y in 0..<height {
            for x in 0..<width { pixels += colour(x, y).map { UInt8(min(max($0, 0), 255).rounded()) } }
        }
        return Image(width: width, height: height, pixels: pixels)
    }

    /// Takes each pixel from another place of the image.
    static func rearranged(
        _ image: Image, width: Int, height: Int, _ source: (_ x: Int, _ y: Int) -> (x: Int, y: Int)
    ) -> Image {
        drawn(width: width, height: height) { x, y in
            let place = source(x, y)
            return (0..<3).map { Double(image.pixels[3 * (place.y * image.width + place.x) + $0]) }
        }
    }

    /// Enlarged to twice the size by bicubic interpolation.
    static func enlarged(_ image: Image) -> Image { image.resized(width: 2 * image.width, height: 2 * image.height) }

    /// Enlarged to twice the size with four copies.
    static func tiled(_ image: Image) -> Image {
        rearranged(image, width: 2 * image.width, height: 2 * image.height) { ($0 % image.width, $1 % image.height) }
    }

    /// Cut into `perSide x perSide` tiles in another order.
    static func shuffled(_ image: Image, perSide: Int = 4) -> Image {
        let (width, height) = (image.width / perSide, image.height / perSide)
        var order = Array(0..<perSide * perSide)
        var stream = RandomStream(seed: 3, purpose: 78)
        for index in order.indices.dropFirst() { order.swapAt(index, stream.integer(through: index)) }
        return rearranged(image, width: width * perSide, height: height * perSide) { x, y in
            let tile = order[y / height * perSide + x / width]
            return (tile % perSide * width + x % width, tile / perSide * height + y % height)
        }
    }

    /// Blurred twice. Each pass averages squares with sides of `2 radius + 1` pixels.
    static func blurred(_ image: Image, radius: Int = 2) -> Image {
        func once(_ image: Image) -> Image {
            drawn(width: image.width, height: image.height) { x, y in
                var sums = [0.0, 0, 0]
                for dy in -radius...radius {
                    for dx in -radius...radius {
                        let column = min(max(x + dx, 0), image.width - 1)
                        let row = min(max(y + dy, 0), image.height - 1)
                        for channel in 0..<3 {
                            sums[channel] += Double(image.pixels[3 * (row * image.width + column) + channel])
                        }
                    }
                }
                return sums.map { $0 / Double((2 * radius + 1) * (2 * radius + 1)) }
            }
        }
        return once(once(image))
    }

    /// Replaces each value by a function of the value, its place and its channel.
    static func changed(_ image: Image, _ change: (_ value: Double, _ x: Int, _ y: Int, _ channel: Int) -> Double)
        -> Image
    {
        drawn(width: image.width, height: image.height) { x, y in
            (0..<3).map { change(Double(image.pixels[3 * (y * image.width + x) + $0]), x, y, $0) }
        }
    }

    /// With a faint periodic pattern on it.
    static func checkered(_ image: Image, period: Int, strength: Double) -> Image {
        changed(image) { value, x, y, _ in
            let isLight = (x % period < period / 2) == (y % period < period / 2)
            return value + (isLight ? strength : -strength)
        }
    }

    /// Equal light and colours everywhere: replaces the interpolated means of 8x8 cells with the mean of all.
    static func flattened(_ image: Image) -> Image {
        let cells = 8
        var means = [[Double]](repeating: [0, 0, 0], count: cells * cells)
        for y in 0..<image.height {
            for x in 0..<image.width {
                let cell = y * cells / image.height * cells + x * cells / image.width
                let pixel = 3 * (y * image.width + x)
                for channel in 0..<3 { means[cell][channel] += Double(image.pixels[pixel + channel]) }
            }
        }
        let perCell = Double(image.width * image.height) / Double(cells * cells)
        means = means.map { $0.map { $0 / perCell } }
        let mean = (0..<3).map { channel in means.reduce(0) { $0 + $1[channel] } / Double(means.count) }
        return changed(image) { value, x, y, channel in
            func place(_ pixel: Int, _ length: Int) -> (first: Int, share: Double) {
                let position = min(max(Double(pixel * cells) / Double(length) - 0.5, 0), Double(cells - 1) - 1e-9)
                return (Int(position), position - Double(Int(position)))
            }
            let (row, column) = (place(y, image.height), place(x, image.width))
            func at(_ down: Int, _ right: Int) -> Double {
                means[(row.first + down) * cells + column.first + right][channel]
            }
            let upper = at(0, 0) * (1 - column.share) + at(0, 1) * column.share
            let lower = at(1, 0) * (1 - column.share) + at(1, 1) * column.share
            return value - (upper * (1 - row.share) + lower * row.share) + mean[channel]
        }
    }

    /// Interrupts lines: in discs of 9 pixels, one in each 16x16 square, each pixel is the lightest within four pixels.
    static func interrupted(_ image: Image) -> Image {
        var stream = RandomStream(seed: 4, purpose: 79)
        let (rows, columns) = (image.height / 16, image.width / 16)
        let centres = (0..<rows * columns).map { index in
            let (y, x) = (stream.integer(through: 15), stream.integer(through: 15))
            return (y: index / columns * 16 + y, x: index % columns * 16 + x)
        }
        func lightness(_ y: Int, _ x: Int) -> Int {
            (0..<3).reduce(0) { $0 + Int(image.pixels[3 * (y * image.width + x) + $1]) }
        }
        return rearranged(image, width: image.width, height: image.height) { x, y in
            let (row, column) = (y / 16, x / 16)
            let isInside = (max(0, row - 1)...min(rows - 1, row + 1)).contains { row in
                (max(0, column - 1)...min(columns - 1, column + 1)).contains { column in
                    let centre = centres[row * columns + column]
                    return (centre.y - y) * (centre.y - y) + (centre.x - x) * (centre.x - x) <= 20
                }
            }
            guard isInside else { return (x, y) }
            var best = (x: x, y: y)
            for otherY in max(0, y - 4)...min(image.height - 1, y + 4) {
                for otherX in max(0, x - 4)...min(image.width - 1, x + 4)
                where lightness(otherY, otherX) > lightness(best.y, best.x) { best = (otherX, otherY) }
            }
            return best
        }
    }

    /// With a darker frame three pixels wide.
    static func framed(_ image: Image) -> Image {
        changed(image) { value, x, y, _ in
            min(min(x, image.width - 1 - x), min(y, image.height - 1 - y)) < 3 ? value * 0.6 : value
        }
    }
}
