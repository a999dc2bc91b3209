import Foundation
import Imaging

extension Image {
    /// The image as a JPEG of the writer's quality, written at once.
    func jpeg() throws -> Data {
        var file = Data()
        let writer = try JPEGWriter(width: width, height: height) { file.append(contentsOf: $0) }
        try pixels.withUnsafeBufferPointer { try writer.write($0) }
        try writer.finish()
        return file
    }
}
