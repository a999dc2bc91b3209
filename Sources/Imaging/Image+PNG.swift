import CPNG
import Foundation

extension Image {
    /// The image as an 8-bit RGB PNG.
    public func png() throws(ImagingError) -> Data {
        var bytes: UnsafeMutablePointer<UInt8>?
        var count = 0
        var message = [CChar](repeating: 0, count: 256)
        let status = cpng_encode_rgb(pixels, UInt32(width), UInt32(height), &bytes, &count, &message)
        guard status == 0, let bytes else {
            throw ImagingError(code: .encoding, message: "a \(width)x\(height) image cannot be encoded as PNG")
        }
        return Data(bytesNoCopy: bytes, count: count, deallocator: .free)
    }
}
