import Foundation

/// Names the format of a file that is neither PNG nor JPEG, by its first bytes.
enum ForeignFormat {
    static func error(for bytes: Data, name: String) -> ImagingError {
        let head = [UInt8](bytes.prefix(1024))
        if let (what, advice) = described(head) {
            return ImagingError(.unknownFormat, "\(name) is \(what); expected a PNG or JPEG: \(advice)")
        }
        let start = head.prefix(4).map { String(format: "%02x", $0) }.joined(separator: " ")
        return ImagingError(
            .unknownFormat,
            "\(name) is neither PNG nor JPEG (it begins with \(start)); convert it to one of them")
    }

    private static let magick = "convert it, for instance with 'magick IN OUT.png'"

    /// What the file is, and what to do.
    private static func described(_ head: [UInt8]) -> (what: String, advice: String)? {
        if let found = binary.first(where: { head.starts(with: $0.magic) }) { return (found.what, found.advice) }
        if head.starts(with: Array("RIFF".utf8)), head.dropFirst(8).starts(with: Array("WEBP".utf8)) {
            return ("a WebP image", "convert it, for instance with 'dwebp IN -o OUT.png'")
        }
        if head.starts(with: Array("BM".utf8)), head.count >= 14, head[6..<10].allSatisfy({ $0 == 0 }) {
            return ("a BMP image", magick)
        }
        if head.dropFirst(4).starts(with: Array("ftyp".utf8)) { return isoMedia(head) }
        return text(head)
    }

    private static let binary: [(magic: [UInt8], what: String, advice: String)] = [
        (Array("GIF8".utf8), "a GIF image", magick),
        ([0x49, 0x49, 0x2A, 0x00], "a TIFF image or a camera's raw file", magick),
        ([0x4D, 0x4D, 0x00, 0x2A], "a TIFF image or a camera's raw file", magick),
        ([0x49, 0x49, 0x2B, 0x00], "a BigTIFF image", magick),
        ([0x4D, 0x4D, 0x00, 0x2B], "a BigTIFF image", magick),
        ([0xFF, 0x0A], "a JPEG XL image", "convert it, for instance with 'djxl IN OUT.png'"),
        (
            [0, 0, 0, 0x0C] + Array("JXL ".utf8), "a JPEG XL image",
            "convert it, for instance with 'djxl IN OUT.png'"
        ),
        ([0, 0, 0, 0x0C] + Array("jP  ".utf8), "a JPEG 2000 image", magick),
        ([0xFF, 0x4F, 0xFF, 0x51], "a JPEG 2000 codestream", magick),
        (Array("8BPS".utf8), "a Photoshop file", "export it as a PNG from the program that made it"),
        (Array("gimp xcf".utf8), "a GIMP file", "export it as a PNG from the program that made it"),
        ([0x76, 0x2F, 0x31, 0x01], "an OpenEXR image", "map it to 8 bits and save it as a PNG"),
        (Array("#?RADIANCE".utf8), "a Radiance HDR image", "map it to 8 bits and save it as a PNG"),
        ([0x8A] + Array("MNG".utf8), "an MNG animation", magick),
        ([0x8B] + Array("JNG".utf8), "a JNG image", magick),
        (Array("qoif".utf8), "a QOI image", magick),
        (Array("DDS ".utf8), "a DDS texture", magick),
        ([0, 0, 1, 0], "a Windows icon", magick),
        (Array("%PDF".utf8), "a PDF document", "export the picture in it, for instance with 'pdfimages -png IN OUT'"),
        ([0x50, 0x4B, 0x03, 0x04], "a ZIP archive", "unpack it first"),
        ([0x1F, 0x8B], "a gzip file", "unpack it first"),
        (
            Array("version https://git-lfs.github.com/spec/".utf8), "a Git LFS pointer and not the image",
            "fetch the image with 'git lfs pull'"
        ),
    ]

    private static func isoMedia(_ head: [UInt8]) -> (what: String, advice: String) {
        // The box: its length, its type, the major brand, a version, compatible brands.
        let length = head.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        let box = head.prefix(min(max(length, 12), head.count))
        let brands = stride(from: 8, to: box.count - 3, by: 4).filter { $0 != 12 }
            .map { String(decoding: box[$0..<$0 + 4], as: UTF8.self) }
        if brands.contains(where: ["avif", "avis"].contains) {
            return ("an AVIF image", "convert it, for instance with 'avifdec IN OUT.png'")
        }
        let heic = ["heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"]
        if brands.contains(where: heic.contains) {
            return (
                "a HEIC image (HEIF, of phones mostly)", "convert it, for instance with 'heif-convert IN OUT.png'"
            )
        }
        if brands.first == "crx " { return ("a camera's raw file (CR3)", "develop it to a PNG or JPEG") }
        return ("a video or another ISO media file", "save a frame of it as a PNG")
    }

    private static func text(_ head: [UInt8]) -> (what: String, advice: String)? {
        var text = String(decoding: head, as: UTF8.self).lowercased()
        if text.hasPrefix("\u{FEFF}") { text.removeFirst() }
        text = String(text.drop { $0.isWhitespace })
        let page = (
            "a web page (HTML) and not the image", "download the image itself; the page may say what went wrong"
        )
        if text.hasPrefix("<!doctype html") || text.hasPrefix("<html") || text.hasPrefix("<head") { return page }
        let isXML = text.hasPrefix("<?xml") || text.hasPrefix("<!--") || text.hasPrefix("<!doctype")
        if text.hasPrefix("<svg") || (isXML && text.contains("<svg")) {
            return ("an SVG drawing", "draw it as pixels, for instance with 'rsvg-convert IN -o OUT.png'")
        }
        if isXML, text.contains("<html") { return page }
        if text.hasPrefix("<?xml") {
            return ("an XML document and not the image", "download the image itself; this may say what went wrong")
        }
        return nil
    }
}
