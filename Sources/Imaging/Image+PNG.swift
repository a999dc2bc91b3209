import Foundation

extension Raster {
    /// The image as a PNG with as many bits as its samples: RGB, or grey if it has one channel.
    /// - Parameter isSRGB: whether the file says that it is sRGB; maps of a material other than the albedo say nothing.
    public func png(isSRGB: Bool = true) throws(ImagingError) -> Data {
        var file = Data()
        do {
            let writer = try PNGWriter(
                width: width, height: height, channels: channels, bitDepth: Sample.bitWidth, isSRGB: isSRGB
            ) { file.append(contentsOf: $0) }
            try pixels.withUnsafeBufferPointer { try writer.write($0) }
            try writer.finish()
        } catch let error as ImagingError {
            throw error
        } catch {
            preconditionFailure("memory takes all bytes")
        }
        return file
    }
}
