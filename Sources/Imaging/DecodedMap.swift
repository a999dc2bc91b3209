import CJPEG
import CPNG
import Foundation

/// The samples of a material's map: what the file stores, with 16 bits. Nothing is laid over white, and only colours are
/// converted.
public struct DecodedMap: Sendable {
    /// RGB; the three are equal in a grey file.
    public let image: DeepImage
    /// One channel; nil if every pixel is opaque.
    public let alpha: DeepImage?
    /// Bits of a sample in the file, 8 or 16; fewer count as 8.
    public let bitDepth: Int
    /// Whether the file is stored turned or mirrored. The image is upright.
    public let wasTurned: Bool
    public let notes: [DecodingNote]

    /// Decodes a PNG or JPEG, recognised by its content.
    /// - Parameters:
    ///   - isColour: converts to sRGB, by ICC profile, or gAMA and cHRM. Otherwise samples are numbers, whatever the file
    ///     says of its colours.
    ///   - name: what to call the file in errors.
    public init(
        _ bytes: Data, isColour: Bool, name: String, limits: ImageLimits = .standard
    ) throws(ImagingError) {
        let stored = try StoredImage(bytes, name: name, limits: limits)
        let (width, height) = (stored.header.width, stored.header.height)
        var notes: [DecodingNote] = []
        var (rgb, alpha): ([UInt16], [UInt16]?)
        switch stored.header.format {
        case .png:
            bitDepth = try Self.bitDepth(ofPNG: bytes, name)
            let conversion = isColour ? try ColourConversion.ofPNG(bytes, name: name, &notes) : nil
            (rgb, alpha) = try Self.samples(ofPNG: bytes, stored, name)
            rgb.withUnsafeMutableBufferPointer { conversion?.rows(conversion?.context, $0.baseAddress, $0.count / 3) }
        case .jpeg:
            guard isColour || !stored.hasInks else {
                throw .unsupported(name, .jpeg, "it has CMYK inks, which are no numbers of a map")
            }
            bitDepth = 8
            alpha = nil
            rgb = try DecodedImage.pixels(ofJPEG: bytes, stored, name, isColour: isColour, &notes).map {
                UInt16($0) * 257
            }
        }
        image = DeepImage(width: width, height: height, pixels: rgb).oriented(by: stored.orientation)
        self.alpha = alpha.map {
            DeepImage(width: width, height: height, channels: 1, pixels: $0).oriented(by: stored.orientation)
        }
        wasTurned = stored.orientation.value != 1
        self.notes = notes
    }

    private static func bitDepth(ofPNG bytes: Data, _ name: String) throws(ImagingError) -> Int {
        var header = cpng_header()
        var message = CMessage()
        let status = bytes.withUnsafeBytes {
            cpng_read_header($0.bindMemory(to: UInt8.self).baseAddress, $0.count, &header, &message.characters)
        }
        guard status == 0 else { throw .damaged(name, .png, message.text) }
        return header.bit_depth == 16 ? 16 : 8
    }

    /// RGB, and alpha unless every pixel is opaque.
    private static func samples(
        ofPNG bytes: Data, _ stored: StoredImage, _ name: String
    ) throws(ImagingError) -> ([UInt16], [UInt16]?) {
        let width = stored.header.width
        let pixels = width * stored.header.height
        let target = Target(width: width, pixels: pixels)
        var message = CMessage()
        let status = bytes.withUnsafeBytes { source in
            cpng_decode_rows(
                source.bindMemory(to: UInt8.self).baseAddress, source.count,
                { context, row, y in
                    guard let context, let row else { return }
                    Unmanaged<Target>.fromOpaque(context).takeUnretainedValue().take(row, Int(y))
                }, Unmanaged.passUnretained(target).toOpaque(), &message.characters)
        }
        guard status == 0 else { throw .damaged(name, .png, message.text) }
        return (target.rgb, target.isOpaque ? nil : target.alpha)
    }

    /// Where decoded rows go.
    private final class Target {
        let width: Int
        var rgb: [UInt16]
        var alpha: [UInt16]
        var isOpaque = true

        init(width: Int, pixels: Int) {
            self.width = width
            rgb = [UInt16](repeating: 0, count: 3 * pixels)
            alpha = [UInt16](repeating: 0, count: pixels)
        }

        func take(_ row: UnsafePointer<UInt16>, _ y: Int) {
            for x in 0..<width {
                let pixel = y * width + x
                for channel in 0..<3 { rgb[3 * pixel + channel] = row[4 * x + channel] }
                alpha[pixel] = row[4 * x + 3]
                if row[4 * x + 3] != .max { isOpaque = false }
            }
        }
    }
}
