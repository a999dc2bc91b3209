/// A value of one channel of a pixel: 0 is none of it, `max` all of it.
public protocol PictureSample: FixedWidthInteger, UnsignedInteger, Sendable, BitwiseCopyable {}

extension UInt8: PictureSample {}
extension UInt16: PictureSample {}

/// An RGB image, 8 bits a channel.
public typealias Image = Raster<UInt8>

/// An RGB image, 16 bits a channel.
public typealias DeepImage = Raster<UInt16>

/// An RGB image.
public struct Raster<Sample: PictureSample>: Sendable, Equatable {
    public let width: Int
    public let height: Int
    /// Row by row from the top, red, green, blue: `width * height * 3` values.
    public var pixels: [Sample]

    public init(width: Int, height: Int, pixels: [Sample]) {
        precondition(width > 0 && height > 0 && pixels.count == width * height * 3)
        self.width = width
        self.height = height
        self.pixels = pixels
    }

    /// The part of the given size at a corner; it must lie inside the image.
    public func cropped(x: Int, y: Int, width: Int, height: Int) -> Raster {
        precondition(x >= 0 && y >= 0 && x + width <= self.width && y + height <= self.height)
        var result: [Sample] = []
        result.reserveCapacity(width * height * 3)
        for row in y..<y + height {
            let start = (row * self.width + x) * 3
            result += pixels[start..<start + width * 3]
        }
        return Raster(width: width, height: height, pixels: result)
    }
}
