/// Why texloom does not accept a file as an image. The message names the file, what was found and what to do.
public struct ImagingError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: String, Sendable {
        case unreadable, empty, unknownFormat, corrupt, tooLarge
        /// A valid PNG or JPEG of a kind that texloom does not read.
        case unsupported
        /// A window that does not lie in the picture.
        case outside
        case encoding
    }

    public let code: Code
    public let message: String
    public var description: String { message }

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    static func damaged(_ name: String, _ format: ImageHeader.Format, _ reason: String) -> ImagingError {
        ImagingError(.corrupt, "\(name) is a damaged \(format.rawValue): \(reason); copy or save it again")
    }

    static func unsupported(_ name: String, _ format: ImageHeader.Format, _ reason: String) -> ImagingError {
        ImagingError(
            .unsupported,
            "\(name) is a \(format.rawValue) of a kind that is not supported: \(reason); save it as a PNG or JPEG with "
                + "8 bits and RGB colours")
    }

    static func undecodable(
        _ name: String, _ format: ImageHeader.Format, _ isUnsupported: Bool, _ reason: String
    ) -> ImagingError {
        isUnsupported ? unsupported(name, format, reason) : damaged(name, format, reason)
    }
}

/// What a file's header says, after its EXIF orientation.
public struct ImageHeader: Sendable, Equatable {
    public enum Format: String, Sendable { case png = "PNG", jpeg = "JPEG" }

    public let format: Format
    public let width: Int
    public let height: Int
    /// Samples of a pixel as the decoder gives them: 4 of a JPEG with inks.
    let decodedChannels: Int
    /// What the decoder holds beside the samples that it gives: all rows of an interlaced PNG, the coefficients of a
    /// progressive JPEG.
    let decoderBytes: Int
    let fileBytes: Int

    /// The most bytes that decoding to a picture takes, with the file.
    /// - Parameter sampleBytes: of a sample of the picture.
    public func decodingBytes(sampleBytes: Int = 1) -> Int {
        let pixels = width * height
        let picture = 3 * sampleBytes * pixels
        // A turned picture is a copy.
        switch format {
        case .png: return fileBytes + picture + max(decoderBytes, picture)
        // The picture is made of samples with 8 bits when the decoder is gone.
        case .jpeg: return fileBytes + max(decodedChannels * pixels + max(decoderBytes, picture), 2 * picture)
        }
    }

    /// The size of the picture when it is turned by a quarter.
    var turned: ImageHeader {
        ImageHeader(
            format: format, width: height, height: width, decodedChannels: decodedChannels, decoderBytes: decoderBytes,
            fileBytes: fileBytes)
    }
}
