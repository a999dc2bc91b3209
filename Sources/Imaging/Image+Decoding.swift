import Foundation
import OperatingSystem

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
        func unreadable(_ reason: String) -> ImagingError {
            ImagingError(.unreadable, "\(url.path) \(reason)")
        }
        // Non-blocking: opening a pipe would wait for its writer.
        let descriptor = open(url.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw unreadable("cannot be read: \(reasonOfSystem(errno))") }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var status = stat()
        // A device or pipe may never end. A link counts as the file that it points to.
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            let isFolder = status.st_mode & S_IFMT == S_IFDIR
            throw unreadable(isFolder ? "is a folder; expected a PNG or a JPEG" : "is not a regular file")
        }
        let size = Int(status.st_size)
        guard size <= limits.maxFileBytes else { throw limits.tooManyBytes(url.path, size) }
        do {
            return try handle.read(upToCount: size) ?? Data()
        } catch {
            throw unreadable("cannot be read: \(error.systemReason)")
        }
    }

    /// Format and size without decoding; the size is the one after EXIF orientation.
    public static func header(
        of bytes: Data, name: String, limits: ImageLimits = .standard
    ) throws(ImagingError) -> ImageHeader {
        let stored = try StoredImage(bytes, name: name, limits: limits)
        return stored.orientation.swapsSides ? stored.header.turned : stored.header
    }
}
