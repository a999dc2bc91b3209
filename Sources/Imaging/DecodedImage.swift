import CJPEG
import CPNG
import Foundation

/// A change of a file's pixels that people should know of.
public enum DecodingNote: Sendable, Equatable, CustomStringConvertible {
    case transparencyOverWhite
    /// The source is the profile's name, or whatever else describes the colours.
    case convertedToSRGB(from: String)
    case profileIgnored(reason: String)
    case inksWithoutProfile

    public var description: String {
        switch self {
        case .transparencyOverWhite: "transparent pixels are laid over white; the alpha channel is dropped"
        case .convertedToSRGB(let source): "colours are converted from \(source) to sRGB"
        case .profileIgnored(let reason):
            "the embedded colour profile is ignored (\(reason)); the colours are read as sRGB"
        case .inksWithoutProfile: "CMYK inks without a colour profile are mixed approximately"
        }
    }
}

/// A picture as training sees it.
public typealias DecodedImage = DecodedRaster<UInt8>

/// A picture, and what decoding changed in the file's pixels.
public struct DecodedRaster<Sample: PictureSample>: Sendable, Equatable {
    public typealias Note = DecodingNote

    public let image: Raster<Sample>
    public let notes: [Note]

    /// Decodes a PNG or JPEG, recognised by its content, to sRGB, upright, over white.
    ///
    /// Converts by ICC profile, or gAMA and cHRM, to sRGB (relative colorimetric, black point compensation). Pixels that
    /// are already sRGB keep their values. A PNG of 16 bits keeps them, or is rounded to 8. Applies the EXIF orientation.
    /// - Parameter name: what to call the file in errors.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    public init(_ bytes: Data, name: String, limits: ImageLimits = .standard) throws(ImagingError) {
        let stored = try StoredImage(bytes, name: name, limits: limits)
        var notes: [Note] = []
        let pixels =
            switch stored.header.format {
            case .png: try Self.pixels(ofPNG: bytes, stored, name, &notes)
            // 255 becomes 65535.
            case .jpeg:
                try Self.pixels(ofJPEG: bytes, stored, name, &notes).map { Sample($0) * (Sample.max / 255) }
            }
        let image = Raster(width: stored.header.width, height: stored.header.height, pixels: pixels)
        self.image = image.oriented(by: stored.orientation)
        self.notes = notes
    }

    /// Reads and decodes a file.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    public init(contentsOf url: URL, limits: ImageLimits = .standard) throws(ImagingError) {
        try self.init(Image.bytes(of: url, limits: limits), name: url.path, limits: limits)
    }

    private static func pixels(
        ofPNG bytes: Data, _ stored: StoredImage, _ name: String, _ notes: inout [Note]
    ) throws(ImagingError) -> [Sample] {
        let conversion = try ColourConversion.ofPNG(bytes, name: name, &notes)
        var message = CMessage()
        var isTransparent: Int32 = 0
        var status: Int32 = 0
        let count = stored.header.width * stored.header.height * 3
        let pixels = [Sample](unsafeUninitializedCapacity: count) { buffer, filled in
            status = bytes.withUnsafeBytes { source in
                cpng_decode_rgb(
                    source.bindMemory(to: UInt8.self).baseAddress, source.count, conversion?.rows, conversion?.context,
                    Int32(Sample.bitWidth), buffer.baseAddress, &isTransparent, &message.characters)
            }
            filled = status == 0 ? count : 0
        }
        guard status == 0 else { throw .damaged(name, .png, message.text) }
        if isTransparent != 0 { notes.append(.transparencyOverWhite) }
        return pixels
    }

    /// - Parameter isColour: false for samples that are no colours and are not converted.
    static func pixels(
        ofJPEG bytes: Data, _ stored: StoredImage, _ name: String, isColour: Bool = true, _ notes: inout [Note]
    ) throws(ImagingError) -> [UInt8] {
        let conversion =
            isColour ? ColourConversion.ofJPEG(bytes, inks: stored.hasInks, isGrey: stored.isGrey, &notes) : nil
        let (width, height) = (stored.header.width, stored.header.height)
        let channels = stored.hasInks && conversion != nil ? 4 : 3
        var message = CMessage()
        var status: Int32 = 0
        var pixels = [UInt8](unsafeUninitializedCapacity: width * height * channels) { buffer, filled in
            status = bytes.withUnsafeBytes { source in
                cjpeg_decode(
                    source.bindMemory(to: UInt8.self).baseAddress, source.count, Int32(channels), buffer.baseAddress,
                    &message.characters)
            }
            filled = status == 0 ? width * height * channels : 0
        }
        guard status == 0 else { throw .undecodable(name, .jpeg, status == CJPEG_UNSUPPORTED, message.text) }
        guard let conversion else { return pixels }
        if channels == 3 {
            conversion.convertInPlace(&pixels)
            return pixels
        }
        return conversion.mixed(inks: pixels)
    }
}

/// What a file's header says of its pixels as they are stored.
struct StoredImage {
    /// Before the picture is turned.
    let header: ImageHeader
    let orientation: EXIFOrientation
    /// CMYK.
    var hasInks = false
    var isGrey = false

    /// Checks everything that can be checked before allocating memory for pixels.
    init(_ bytes: Data, name: String, limits: ImageLimits) throws(ImagingError) {
        guard !bytes.isEmpty else {
            throw ImagingError(.empty, "\(name) is empty; expected a PNG or JPEG file: copy or download it again")
        }
        guard bytes.count <= limits.maxFileBytes else { throw limits.tooManyBytes(name, bytes.count) }
        guard let format = ImageHeader.Format(bytes) else { throw ForeignFormat.error(for: bytes, name: name) }
        var message = CMessage()
        let (width, height): (Int, Int)
        var isInterlaced = false
        var decoderBytes = 0
        switch format {
        case .png:
            guard !PNGChunks.isApples(bytes) else {
                throw .unsupported(name, .png, "it is a CgBI file, which Apple's tools make for iOS apps")
            }
            var header = cpng_header()
            let status = bytes.withUnsafeBytes {
                cpng_read_header($0.bindMemory(to: UInt8.self).baseAddress, $0.count, &header, &message.characters)
            }
            guard status == 0 else { throw .damaged(name, .png, message.text) }
            (width, height) = (Int(header.width), Int(header.height))
            isInterlaced = header.is_interlaced != 0
        case .jpeg:
            var header = cjpeg_header()
            let status = bytes.withUnsafeBytes {
                cjpeg_read_header($0.bindMemory(to: UInt8.self).baseAddress, $0.count, &header, &message.characters)
            }
            guard status != CJPEG_TOO_LARGE else {
                throw limits.tooLargeJPEG(name, Int(header.width), Int(header.height))
            }
            guard status == 0 else { throw .undecodable(name, .jpeg, status == CJPEG_UNSUPPORTED, message.text) }
            hasInks = header.is_cmyk != 0
            isGrey = header.is_grey != 0
            guard !hasInks || header.has_adobe_marker != 0 else {
                throw .unsupported(
                    name, .jpeg, "it has CMYK inks and no Adobe marker, so nothing says whether they are inverted")
            }
            (width, height) = (Int(header.width), Int(header.height))
            decoderBytes = header.coefficient_bytes
        }
        guard limits.allow(width: width, height: height) else { throw limits.tooLarge(name, width, height) }
        guard !isInterlaced || width * height <= ImageLimits.maxInterlacedPixels else {
            throw ImagingError(
                .tooLarge,
                "\(name) is an interlaced PNG of \(width)x\(height) pixels; an interlaced one may have "
                    + "\(ImageLimits.maxInterlacedPixels) pixels at most: save it without interlacing")
        }
        // Its rows have four channels of 16 bits.
        if isInterlaced { decoderBytes = 8 * width * height }
        header = ImageHeader(
            format: format, width: width, height: height, decodedChannels: hasInks ? 4 : 3, decoderBytes: decoderBytes,
            fileBytes: bytes.count)
        orientation = EXIFOrientation(of: bytes, format)
    }
}

/// Room for what the C decoders say.
struct CMessage {
    var characters = [CChar](repeating: 0, count: 256)
    var text: String { String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) }
}

extension ImageHeader.Format {
    /// Nil for anything but PNG and JPEG.
    init?(_ bytes: Data) {
        if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
            self = .png
        } else if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
            self = .jpeg
        } else {
            return nil
        }
    }
}
