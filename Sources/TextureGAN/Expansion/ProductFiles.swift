import Foundation
import Imaging
import OperatingSystem

/// Where the rows of a result go.
protocol ProductSink: PictureSink {
    /// The files, complete after `finish()`, and which maps they are. The name is that by which another product names the
    /// file.
    var pictures: [(map: MapKind?, name: String?, file: PNGFile)] { get }
    /// The document that joins them.
    var materialX: URL? { get }
}

/// A photograph's result.
struct PhotographFile: ProductSink {
    let pictures: [(map: MapKind?, name: String?, file: PNGFile)]
    var materialX: URL? { nil }

    init(_ file: PNGFile) { pictures = [(nil, nil, file)] }

    func open() throws { try pictures[0].file.open() }
    func write<Sample: PictureSample>(_ rows: UnsafeBufferPointer<Sample>) throws { try pictures[0].file.write(rows) }
    func finish() throws { try pictures[0].file.finish() }
}

/// A material's result: the bytes of the files that `texloom expand` writes.
struct MaterialFolder: ProductSink {
    let pictures: [(map: MapKind?, name: String?, file: PNGFile)]
    let materialX: URL?
    private let layout: MapLayout
    /// The name of the folder that `texloom expand` would write.
    private let name: String

    /// - Parameter depth: bits of all maps; nil for those of the input.
    init(
        _ folder: URL, _ material: Material, _ name: String, number: Int, width: Int, height: Int, depth: Int?,
        proceeds: @escaping () -> Bool
    ) {
        layout = material.layout
        self.name = name
        materialX = folder.appendingPathComponent("material-\(number).mtlx")
        pictures = zip(material.layout.maps, material.depths).map { kind, own in
            (
                kind, kind.fileName(of: name),
                PNGFile(
                    folder.appendingPathComponent("picture-\(number)-\(kind.rawValue).png"), width: width,
                    height: height, channels: kind.channels, bitDepth: depth ?? own, isSRGB: kind == .albedo,
                    hasPreview: kind == .albedo, proceeds: proceeds)
            )
        }
    }

    func open() throws { for picture in pictures { try picture.file.open() } }

    func write<Sample: PictureSample>(_ rows: UnsafeBufferPointer<Sample>) throws {
        try rows.withMemoryRebound(to: UInt16.self) { rows in
            for case (let kind?, _, let file) in pictures {
                try layout.write(kind, of: rows, to: file, depth: file.bitDepth)
            }
        }
    }

    func finish() throws {
        for picture in pictures { try picture.file.finish() }
        guard let materialX else { return }
        let document = MaterialX.document(
            name: name, maps: layout.maps.map { ($0, $0.fileName(of: name)) })
        try DurableFile.write(Data(document.utf8), to: materialX)
    }
}

/// A PNG file that is written row by row.
final class PNGFile: PictureSink {
    let url: URL
    let bitDepth: Int
    private let width: Int
    private let height: Int
    private let channels: Int
    private let isSRGB: Bool
    private let proceeds: () -> Bool
    /// Nil for a file without one.
    private(set) var preview: PicturePreview?
    private var descriptor: Int32 = -1
    private var png: PNGWriter?

    init(
        _ url: URL, width: Int, height: Int, channels: Int = 3, bitDepth: Int, isSRGB: Bool = true,
        hasPreview: Bool = true, proceeds: @escaping () -> Bool
    ) {
        self.url = url
        self.width = width
        self.height = height
        self.channels = channels
        self.bitDepth = bitDepth
        self.isSRGB = isSRGB
        self.proceeds = proceeds
        preview = hasPreview ? PicturePreview(width: width, height: height) : nil
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    func open() throws {
        descriptor = Foundation.open(url.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileFailure("create", url) }
        png = try PNGWriter(
            width: width, height: height, channels: channels, bitDepth: bitDepth, isSRGB: isSRGB
        ) { [unowned self] bytes in
            if let number = writeAll(bytes, into: descriptor) { throw FileFailure("write", url, number: number) }
        }
    }

    func write<Sample: PictureSample>(_ rows: UnsafeBufferPointer<Sample>) throws {
        guard proceeds() else { throw ProductRun.Stopped() }
        try png?.write(rows)
        preview?.add(rows)
    }

    func finish() throws {
        try png?.finish()
        png = nil
        guard fsync(descriptor) == 0 else { throw FileFailure("sync", url) }
    }
}
