import CJPEG
import CPNG
import Foundation
import OperatingSystem

extension Image {
    /// Decodes a PNG or JPEG, told by its content. Transparency is laid over white, 16 bits are rounded to 8, EXIF
    /// orientation is applied; colour profiles and gamma are not.
    /// - Parameter name: what to call the file in errors.
    public init(decoding bytes: Data, name: String, limits: ImageLimits = .standard) throws(ImagingError) {
        let stored = try Self.storedHeader(of: bytes, name: name, limits: limits)
        let (width, height) = (stored.width, stored.height)
        var message = [CChar](repeating: 0, count: 256)
        var status: Int32 = 0
        let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { buffer, count in
            status = bytes.withUnsafeBytes { source in
                let start = source.bindMemory(to: UInt8.self).baseAddress
                switch stored.format {
                case .png: return cpng_decode_rgb(start, bytes.count, buffer.baseAddress, &message)
                case .jpeg: return cjpeg_decode_rgb(start, bytes.count, buffer.baseAddress, &message)
                }
            }
            count = status == 0 ? width * height * 3 : 0
        }
        guard status == 0 else { throw Self.corrupt(name, stored.format, message) }
        let image = Image(width: width, height: height, pixels: pixels)
        self = stored.format == .jpeg ? image.oriented(by: EXIFOrientation(ofJPEG: bytes)) : image
    }

    /// Reads and decodes a file.
    public init(contentsOf url: URL, limits: ImageLimits = .standard) throws(ImagingError) {
        try self.init(decoding: Self.bytes(of: url, limits: limits), name: url.path, limits: limits)
    }

    /// The bytes of a file that may be an image: a regular file of a size within the limits.
    public static func bytes(of url: URL, limits: ImageLimits = .standard) throws(ImagingError) -> Data {
        func unreadable(_ reason: String) -> ImagingError {
            ImagingError(code: .unreadable, message: "\(url.path) \(reason)")
        }
        // Opened without waiting for the other end of a pipe.
        let descriptor = open(url.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw unreadable("cannot be read: \(reasonOfSystem(errno))") }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var status = stat()
        // A device or pipe could go on for ever; a link is what it points to.
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw unreadable("is not a regular file")
        }
        let size = Int(status.st_size)
        guard size <= limits.maxFileBytes else { throw tooManyBytes(url.path, size, limits) }
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
        let stored = try storedHeader(of: bytes, name: name, limits: limits)
        guard stored.format == .jpeg, EXIFOrientation(ofJPEG: bytes).swapsSides else { return stored }
        return ImageHeader(format: stored.format, width: stored.height, height: stored.width)
    }

    private static func storedHeader(
        of bytes: Data, name: String, limits: ImageLimits
    ) throws(ImagingError) -> ImageHeader {
        guard !bytes.isEmpty else {
            throw ImagingError(code: .empty, message: "\(name) is empty; expected a PNG or JPEG")
        }
        guard bytes.count <= limits.maxFileBytes else { throw tooManyBytes(name, bytes.count, limits) }
        let format: ImageHeader.Format
        if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
            format = .png
        } else if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
            format = .jpeg
        } else {
            let start = bytes.prefix(4).map { String(format: "%02x", $0) }.joined(separator: " ")
            throw ImagingError(
                code: .unknownFormat,
                message: "\(name) is neither PNG nor JPEG (it begins with \(start)); convert it to one of them")
        }
        var message = [CChar](repeating: 0, count: 256)
        var (width, height) = (0, 0)
        let status = bytes.withUnsafeBytes { source in
            let start = source.bindMemory(to: UInt8.self).baseAddress
            switch format {
            case .png:
                var header = cpng_header()
                defer { (width, height) = (Int(header.width), Int(header.height)) }
                return cpng_read_header(start, bytes.count, &header, &message)
            case .jpeg:
                var header = cjpeg_header()
                defer { (width, height) = (Int(header.width), Int(header.height)) }
                return cjpeg_read_header(start, bytes.count, &header, &message)
            }
        }
        guard status == 0 else { throw corrupt(name, format, message) }
        guard width > 0, height > 0, width <= limits.maxPixels / height else {
            throw ImagingError(
                code: .tooLarge,
                message: "\(name) declares \(width)x\(height) pixels; expected at most \(limits.maxPixels) in all; "
                    + "scale it down")
        }
        return ImageHeader(format: format, width: width, height: height)
    }

    private static func corrupt(_ name: String, _ format: ImageHeader.Format, _ message: [CChar]) -> ImagingError {
        let text = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return ImagingError(
            code: .corrupt,
            message: "\(name) is a damaged \(format.rawValue): \(text); copy it again or save it anew")
    }

    private static func tooManyBytes(_ name: String, _ size: Int, _ limits: ImageLimits) -> ImagingError {
        ImagingError(
            code: .tooLarge,
            message: "\(name) has \(size) bytes; expected at most \(limits.maxFileBytes); scale the image down")
    }
}
