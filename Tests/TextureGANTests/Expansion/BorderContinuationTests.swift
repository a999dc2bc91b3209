import Imaging
import NNCore
import Testing

@testable import TextureGAN

@Suite struct BorderContinuationTests {
    /// A texture that repeats at short distances, so that exactly one continuation is right. The period is 20 across
    /// and 12 down, and each row of bricks is shifted.
    private static func bricks(_ x: Int, _ y: Int) -> [UInt8] {
        let (row, line) = (Int((Double(y) / 12).rounded(.down)), ((y % 12) + 12) % 12)
        let column = (((x + (row % 2 == 0 ? 0 : 10)) % 20) + 20) % 20
        if line < 2 || column < 2 { return [190, 185, 170] }
        return [UInt8(150 + 3 * line), UInt8(60 + 2 * column), 40]
    }

    private static func image(_ columns: Range<Int>, _ rows: Range<Int>) -> Image {
        Image(
            width: columns.count, height: rows.count,
            pixels: rows.flatMap { y in columns.flatMap { x in bricks(x, y) } })
    }

    @Test(arguments: [(131, 97), (96, 120), (64, 64)])
    func aRepeatingTextureIsContinuedToThePixel(_ width: Int, _ height: Int) {
        let extended = BorderContinuation(margin: 16).extended(Self.image(0..<width, 0..<height))
        #expect(extended == Self.image(-16..<width + 16, -16..<height + 16))
    }

    /// Mirroring breaks lines that cross the border at an angle.
    @Test func slantedLinesKeepTheirDirection() {
        func value(_ x: Int, _ y: Int) -> UInt8 { ((x + 3 * y) % 18 + 18) % 18 < 9 ? 40 : 210 }
        func stripes(_ columns: Range<Int>, _ rows: Range<Int>) -> Image {
            Image(
                width: columns.count, height: rows.count,
                pixels: rows.flatMap { y in columns.flatMap { x in [UInt8](repeating: value(x, y), count: 3) } })
        }
        let extended = BorderContinuation(margin: 16).extended(stripes(0..<120, 0..<80))
        #expect(extended == stripes(-16..<136, -16..<96))
    }

    @Test func lightStaysWhereItIs() {
        var stream = RandomStream(seed: 4, purpose: 0)
        // From dark on the left to bright on the right, with noise.
        let image = Image(
            width: 160, height: 100,
            pixels: (0..<100 * 160).flatMap { index in
                [UInt8](repeating: UInt8(40 + index % 160 + Int(stream.integer(through: 30))), count: 3)
            })
        let extended = BorderContinuation(margin: 16).extended(image)
        for x in stride(from: 20, to: 172, by: 8) {
            let above = (0..<16).flatMap { y in (x..<x + 4).map { Int(extended.pixels[(y * 192 + $0) * 3]) } }
            #expect(abs(above.reduce(0, +) / above.count - (40 + x - 16 + 15)) < 20, "at column \(x)")
        }
    }

    /// On clouds no two blocks fit together exactly. Each fades into the next one instead of ending at an edge.
    @Test func blocksFadeIntoEachOther() {
        let (width, height, margin) = (408, 100, 16)
        let extended = BorderContinuation(margin: margin).extended(Self.clouds(width: width, height: height))
        /// The mean step between a column of the margin above the image and the column before it.
        func step(_ column: Int) -> Double {
            let steps = (0..<margin).map { y in
                let at = (y * extended.width + margin + column) * 3
                return abs(Int(extended.pixels[at]) - Int(extended.pixels[at - 3]))
            }
            return Double(steps.reduce(0, +)) / Double(margin)
        }
        // Blocks begin every 16 columns, after the first one 8 columns earlier than their new part.
        let joins = Array(stride(from: 8, to: width - 24, by: 16))
        let atJoins = joins.map(step).reduce(0, +) / Double(joins.count)
        let inside = (1..<width).map(step).reduce(0, +) / Double(width - 1)
        #expect(atJoins < 1.5 * inside, "steps of \(atJoins) at the joins, \(inside) on average")
    }

    /// Noise whose values change by about 10 from one pixel to the next.
    private static func clouds(width: Int, height: Int) -> Image {
        var stream = RandomStream(seed: 9, purpose: 0)
        let (coarseWidth, coarseHeight) = (width / 6 + 2, height / 6 + 2)
        let coarse = (0..<coarseWidth * coarseHeight).map { _ in Int(stream.integer(through: 220)) }
        return Image(
            width: width, height: height,
            pixels: (0..<width * height).flatMap { index in
                let (x, y) = (index % width, index / width)
                let (i, j) = (x / 6, y / 6)
                func along(_ row: Int) -> Int {
                    coarse[row * coarseWidth + i] * (6 - x % 6) + coarse[row * coarseWidth + i + 1] * (x % 6)
                }
                return [UInt8](repeating: UInt8((along(j) * (6 - y % 6) + along(j + 1) * (y % 6)) / 36), count: 3)
            })
    }

    @Test func theImageItselfStaysAsItIs() {
        let image = TinyRun.image(width: 90, height: 70)
        let extended = BorderContinuation(margin: 16).extended(image)
        #expect(extended.cropped(x: 16, y: 16, width: 90, height: 70) == image)
    }

    @Test(arguments: [(1, 1), (1, 200), (5, 7), (63, 300)])
    func smallImagesAreMirrored(_ width: Int, _ height: Int) {
        let image = TinyRun.image(width: width, height: height)
        let extended = BorderContinuation(margin: 16).extended(image)
        #expect(extended.width == width + 32 && extended.height == height + 32)
        for (x, y) in [(0, 0), (width + 31, height + 31), (3, height)] {
            let source = mirroredPosition(y - 16, height) * width + mirroredPosition(x - 16, width)
            #expect(
                Array(extended.pixels[(y * extended.width + x) * 3..<(y * extended.width + x) * 3 + 3])
                    == Array(image.pixels[source * 3..<source * 3 + 3]))
        }
    }
}
