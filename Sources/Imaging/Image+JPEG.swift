import CJPEG
import Foundation

extension Image {
    /// The longest side of a JPEG that libjpeg encodes, in pixels.
    public static var maxJPEGSide: Int { Int(CJPEG_MAX_SIDE) }

    /// The image as a baseline JPEG with its colour at full resolution.
    /// - Parameter quality: 1 to 100; 95 is hard to tell from the original.
    /// - Throws: `.encoding` if a side is longer than `maxJPEGSide`, or memory runs out.
    public func jpeg(quality: Int = 95) throws(ImagingError) -> Data {
        var bytes: UnsafeMutablePointer<UInt8>?
        var count: UInt = 0
        var message = [CChar](repeating: 0, count: 256)
        let status =
            max(width, height) > Self.maxJPEGSide
            ? -1 : cjpeg_encode_rgb(pixels, UInt32(width), UInt32(height), Int32(quality), &bytes, &count, &message)
        guard status == 0, let bytes else {
            throw ImagingError(
                .encoding,
                "a \(width)x\(height) image cannot be encoded as JPEG; expected sides of at most "
                    + "\(Self.maxJPEGSide) pixels, and memory for it")
        }
        return Data(bytesNoCopy: bytes, count: Int(count), deallocator: .free)
    }
}
