import CPNG
import Foundation

extension Image {
    /// The image as an 8-bit RGB PNG, marked as sRGB.
    public func png() throws(ImagingError) -> Data {
        var bytes: UnsafeMutablePointer<UInt8>?
        var count = 0
        var message = CMessage()
        let status = cpng_encode_rgb(pixels, UInt32(width), UInt32(height), &bytes, &count, &message.characters)
        guard status == 0, let bytes else {
            throw ImagingError(
                .encoding, "a \(width)x\(height) image cannot be encoded as PNG: \(message.text)")
        }
        return Data(bytesNoCopy: bytes, count: count, deallocator: .free)
    }
}
