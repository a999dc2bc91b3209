/// Why a file is not an image that texloom takes. The message names the file, what was found and what to do.
public struct ImagingError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: String, Sendable {
        case unreadable, empty, unknownFormat, corrupt, tooLarge
        case encoding
    }

    public let code: Code
    public let message: String
    public var description: String { message }
}

/// What is accepted, checked before memory for pixels is taken.
public struct ImageLimits: Sendable {
    public var maxPixels: Int
    public var maxFileBytes: Int

    /// 64 megapixels, 256 MiB: any photograph, and no bomb.
    public static let standard = ImageLimits(maxPixels: 64 << 20, maxFileBytes: 256 << 20)

    public init(maxPixels: Int, maxFileBytes: Int) {
        self.maxPixels = maxPixels
        self.maxFileBytes = maxFileBytes
    }
}

/// What a file's header says, after its EXIF orientation.
public struct ImageHeader: Sendable, Equatable {
    public enum Format: String, Sendable { case png = "PNG", jpeg = "JPEG" }

    public let format: Format
    public let width: Int
    public let height: Int
}
