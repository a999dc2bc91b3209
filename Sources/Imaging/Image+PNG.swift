import Foundation

extension Raster {
    /// The image as an RGB PNG with as many bits as its samples, marked as sRGB.
    public func png() throws(ImagingError) -> Data {
        var result = Data()
        do {
            let writer = try PNGWriter(width: width, height: height, bitDepth: Sample.bitWidth) {
                result.append(contentsOf: $0)
            }
            try pixels.withUnsafeBufferPointer { try writer.write($0) }
            try writer.finish()
        } catch let error as ImagingError {
            throw error
        } catch {
            preconditionFailure("memory takes all bytes")
        }
        return result
    }
}
