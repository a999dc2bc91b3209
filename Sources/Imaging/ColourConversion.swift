import CLCMS
import Foundation
import CPNG

/// Converts a file's colours to sRGB by Little CMS. Exists only if the conversion changes bytes.
final class ColourConversion {
    private let conversion: OpaquePointer

    private init(_ conversion: OpaquePointer) { self.conversion = conversion }

    deinit { clcms_free(conversion) }

    /// By iCCP, else sRGB, else gAMA and cHRM, the order of the PNG standard. Nil if the colours are sRGB or the file does
    /// not describe them.
    static func ofPNG(
        _ bytes: Data, name: String, _ notes: inout [DecodingNote]
    ) throws(ImagingError) -> ColourConversion? {
        var message = CMessage()
        var colours = cpng_colours()
        let status = bytes.withUnsafeBytes {
            cpng_read_colours($0.bindMemory(to: UInt8.self).baseAddress, $0.count, &colours, &message.characters)
        }
        guard status == 0 else { throw .damaged(name, .png, message.text) }
        defer { free(colours.profile) }
        if let profile = colours.profile {
            let isGrey = colours.is_grey != 0
            return make(&notes) {
                clcms_from_profile(profile, colours.profile_bytes, CLCMS_RGB_16, isGrey ? 1 : 0, &$0)
            }
        }
        if bytes.withUnsafeBytes({ PNGChunks.first("iCCP", in: $0) }) != nil {
            notes.append(.profileIgnored(reason: "it is damaged"))
            return nil
        }
        guard colours.is_srgb == 0, colours.gamma > 0 || colours.has_chromaticities != 0 else { return nil }
        // libpng's threshold: a gamma of 0.45 means the usual curve.
        let usual = 1 / 2.2
        let gamma = colours.gamma == 0 || abs(colours.gamma / usual - 1) < 0.05 ? usual : colours.gamma
        let xy = withUnsafeBytes(of: colours.xy) { Array($0.bindMemory(to: Double.self)) }
        let source = gamma == usual ? "the chromaticities in the file" : String(format: "a gamma of %.3g", gamma)
        return make(&notes, name: source) {
            clcms_from_gamma(gamma, colours.has_chromaticities != 0 ? xy : nil, CLCMS_RGB_16, &$0)
        }
    }

    /// By the ICC profile. Nil if the colours are sRGB or the file has no usable profile.
    /// - Parameter inks: CMYK.
    static func ofJPEG(
        _ bytes: Data, inks: Bool, isGrey: Bool, _ notes: inout [DecodingNote]
    ) -> ColourConversion? {
        guard let found = JPEGSegments.profile(in: bytes) else {
            if inks { notes.append(.inksWithoutProfile) }
            return nil
        }
        guard let profile = found else {
            notes.append(inks ? .inksWithoutProfile : .profileIgnored(reason: "a part of it is missing"))
            return nil
        }
        let before = notes.count
        let conversion = make(&notes) {
            clcms_from_profile(profile, profile.count, inks ? CLCMS_CMYK_8 : CLCMS_RGB_8, isGrey ? 1 : 0, &$0)
        }
        if inks, conversion == nil { notes.replaceSubrange(before..., with: [.inksWithoutProfile]) }
        return conversion
    }

    private static func make(
        _ notes: inout [DecodingNote], name: String? = nil, _ open: (inout [CChar]) -> OpaquePointer?
    ) -> ColourConversion? {
        var message = CMessage()
        guard let opened = open(&message.characters) else {
            notes.append(.profileIgnored(reason: message.text))
            return nil
        }
        let conversion = ColourConversion(opened)
        guard clcms_is_identity(opened) == 0 else { return nil }
        let own = String(cString: clcms_name(opened))
        notes.append(.convertedToSRGB(from: name ?? (own.isEmpty ? "an unnamed profile" : own)))
        return conversion
    }

    // MARK: Pixels

    /// What `cpng_decode_rgb` calls for each row, with `context`.
    var rows: cpng_convert {
        { context, rgb, pixels in clcms_convert(OpaquePointer(context), rgb, rgb, pixels) }
    }

    var context: UnsafeMutableRawPointer { UnsafeMutableRawPointer(conversion) }

    /// RGB of 8 bits.
    func convertInPlace(_ pixels: inout [UInt8]) {
        pixels.withUnsafeMutableBytes { clcms_convert(conversion, $0.baseAddress, $0.baseAddress, $0.count / 3) }
    }

    /// RGB from CMYK.
    func mixed(inks: [UInt8]) -> [UInt8] {
        let count = inks.count / 4 * 3
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            clcms_convert(conversion, inks, buffer.baseAddress, inks.count / 4)
            filled = count
        }
    }
}
