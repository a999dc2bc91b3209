import Foundation

extension Image {
    /// The picture of a PNG or JPEG, as ``DecodedImage`` describes it, without its notes.
    /// - Parameter name: what to call the file in errors.
    public init(decoding bytes: Data, name: String, limits: ImageLimits = .standard) throws(ImagingError) {
        self = try DecodedImage(bytes, name: name, limits: limits).image
    }

    /// Reads and decodes a file.
    public init(contentsOf url: URL, limits: ImageLimits = .standard) throws(ImagingError) {
        self = try DecodedImage(contentsOf: url, limits: limits).image
    }

    /// The bytes of a file that may be an image: a regular file of a size within the limits.
    public static func bytes(of url: URL, limits: ImageLimits = .standard) throws(ImagingError) -> Data {
        do {
            // A device or pipe could go on for ever; a link is what it points to.
            let target = url.resolvingSymlinksInPath()
            let attributes = try FileManager.default.attributesOfItem(atPath: target.path)
            guard attributes[.type] as? FileAttributeType == .typeRegular else {
                throw ImagingError(.unreadable, "\(url.path) is not a regular file")
            }
            let size = attributes[.size] as? Int ?? 0
            guard size <= limits.maxFileBytes else { throw limits.tooManyBytes(url.path, size) }
            return try Data(contentsOf: target)
        } catch let error as ImagingError {
            throw error
        } catch {
            throw ImagingError(.unreadable, "\(url.path) cannot be read: \(error.localizedDescription)")
        }
    }

    /// Format and size without decoding; the size is the one after EXIF orientation.
    public static func header(
        of bytes: Data, name: String, limits: ImageLimits = .standard
    ) throws(ImagingError) -> ImageHeader {
        let stored = try StoredImage(bytes, name: name, limits: limits)
        guard stored.orientation.swapsSides else { return stored.header }
        return ImageHeader(format: stored.header.format, width: stored.header.height, height: stored.header.width)
    }
}
