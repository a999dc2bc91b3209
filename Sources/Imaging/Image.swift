/// A value of one channel of a pixel: 0 is none of it, `max` all of it.
public protocol PictureSample: FixedWidthInteger, UnsignedInteger, Sendable, BitwiseCopyable {}

extension UInt8: PictureSample {}
extension UInt16: PictureSample {}

/// An RGB image, 8 bits a channel.
public typealias Image = Raster<UInt8>

/// An RGB image, 16 bits a channel.
public typealias DeepImage = Raster<UInt16>

/// An RGB image, or the maps of a material, all channels of a pixel side by side.
public struct Raster<Sample: PictureSample>: Sendable, Equatable {
    public let width: Int
    public let height: Int
    /// Samples of a pixel: 3 in an RGB image.
    public let channels: Int
    /// Row by row from the top, `width * height * channels` values; red, green, blue in an RGB image.
    public var pixels: [Sample]

    public init(width: Int, height: Int, channels: Int = 3, pixels: [Sample]) {
        precondition(width > 0 && height > 0 && channels > 0 && pixels.count == width * height * channels)
        self.width = width
        self.height = height
        self.channels = channels
        self.pixels = pixels
    }

    /// The part of the given size at a corner; it must lie inside the image.
    public func cropped(x: Int, y: Int, width: Int, height: Int) -> Raster {
        precondition(x >= 0 && y >= 0 && x + width <= self.width && y + height <= self.height)
        var result: [Sample] = []
        result.reserveCapacity(width * height * channels)
        for row in y..<y + height {
            let start = (row * self.width + x) * channels
            result += pixels[start..<start + width * channels]
        }
        return Raster(width: width, height: height, channels: channels, pixels: result)
    }
}
