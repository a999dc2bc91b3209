/// An RGB image, 8 bits a channel.
public struct Image: Sendable, Equatable {
    public let width: Int
    public let height: Int
    /// Row by row from the top, red, green, blue: `width * height * 3` values.
    public var pixels: [UInt8]

    public init(width: Int, height: Int, pixels: [UInt8]) {
        precondition(width > 0 && height > 0 && pixels.count == width * height * 3)
        self.width = width
        self.height = height
        self.pixels = pixels
    }

    /// The part of the given size at a corner; it must lie inside the image.
    public func cropped(x: Int, y: Int, width: Int, height: Int) -> Image {
        precondition(x >= 0 && y >= 0 && x + width <= self.width && y + height <= self.height)
        var result: [UInt8] = []
        result.reserveCapacity(width * height * 3)
        for row in y..<y + height {
            let start = (row * self.width + x) * 3
            result += pixels[start..<start + width * 3]
        }
        return Image(width: width, height: height, pixels: result)
    }
}
