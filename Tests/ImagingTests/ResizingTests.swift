import Testing

@testable import Imaging

@Suite struct ResizingTests {
    private func gradient(_ width: Int, _ height: Int) -> Image {
        Image(
            width: width, height: height,
            pixels: (0..<height).flatMap { y in (0..<width).flatMap { x in [UInt8(x * 4), UInt8(y * 4), 100] } })
    }

    @Test func shrinkingTakesTheMeanOfWhatAPixelCovers() {
        let image = Image(
            width: 4, height: 2,
            pixels: [0, 0, 0, 100, 0, 0, 10, 0, 0, 30, 0, 0].flatMap { [$0] } + Array(repeating: 20, count: 12))
        let small = image.resized(width: 2, height: 1)
        #expect(small.pixels[0] == 35)  // (0 + 100 + 20 + 20) / 4
        #expect(small.pixels[3] == 20)  // (10 + 30 + 20 + 20) / 4
        let flat = Image(width: 7, height: 5, pixels: Array(repeating: 77, count: 105))
        #expect(flat.resized(width: 3, height: 2).pixels.allSatisfy { $0 == 77 })
    }

    @Test func enlargingKeepsFlatColoursAndLines() {
        let flat = Image(width: 3, height: 3, pixels: Array(repeating: 200, count: 27))
        #expect(flat.resized(width: 10, height: 11).pixels.allSatisfy { $0 == 200 })
        // A linear ramp stays linear inside: bicubic is exact for it.
        let large = gradient(16, 16).resized(width: 32, height: 32)
        for x in 4..<28 {
            let expected = ((Double(x) + 0.5) / 2 - 0.5) * 4
            #expect(abs(Double(large.pixels[(16 * 32 + x) * 3]) - expected) <= 0.51)
        }
    }

    @Test func thumbnailsKeepTheirShapeAndNeverGrow() {
        let image = gradient(60, 30)
        let thumbnail = image.thumbnail(longestSide: 20)
        #expect(thumbnail.width == 20 && thumbnail.height == 10)
        #expect(image.thumbnail(longestSide: 100) == image)
        #expect(gradient(60, 1).thumbnail(longestSide: 8).height == 1)
    }

    @Test func croppingTakesTheWindow() {
        let window = gradient(10, 10).cropped(x: 3, y: 4, width: 2, height: 3)
        #expect(window.width == 2 && window.height == 3)
        #expect(Array(window.pixels[0..<3]) == [12, 16, 100])
        #expect(Array(window.pixels.suffix(3)) == [16, 24, 100])
    }
}
