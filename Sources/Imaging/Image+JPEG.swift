import CJPEG
import Foundation

extension Image {
    /// The longest side of a JPEG that libjpeg encodes, in pixels.
    public static var maxJPEGSide: Int { Int(CJPEG_MAX_SIDE) }

    /// The image as a baseline JPEG with its colour at full resolution.
    /// - Parameter quality: 1 to 100; 95 is hard to tell from the original.
    /// - Throws: `.encoding` if a side is longer than `maxJPEGSide`, or memory runs out.
    public func jpeg(quality: Int = 95) throws(ImagingError) -> Data {
        try EncoderSink.collect { sink in
            let writer = try JPEGWriter(width: width, height: height, quality: quality, sink: sink)
            try pixels.withUnsafeBufferPointer { try writer.write($0) }
            try writer.finish()
        }
    }
}
