import Base
import Crypto
import Foundation
import Imaging
import TextureGAN

/// A complete file of a result.
struct WrittenPicture {
    let path: String
    /// Of a material.
    let map: MapKind?
    /// Bits of a channel.
    let depth: Int
    /// Lower-case hexadecimal.
    let sha256: String
}

/// The file or files of one result.
protocol ResultFiles: PictureSink {
    /// Complete after `finish()`.
    var written: [WrittenPicture] { get }
}

/// A result file: a PNG or a JPEG, both written row by row.
final class PictureOutput: ResultFiles {
    private enum Format { case png, jpeg }

    let path: String
    private let file: OutputFile
    private let format: Format
    private let width: Int
    private let height: Int
    private let bitDepth: Int
    private let channels: Int
    private let isSRGB: Bool
    private var writing: OutputFile.Writing?
    private var png: PNGWriter?
    private var jpeg: JPEGWriter?
    private var hash = SHA256()
    /// Of the complete file, in lower-case hexadecimal.
    private(set) var sha256 = ""

    var written: [WrittenPicture] { [WrittenPicture(path: path, map: nil, depth: bitDepth, sha256: sha256)] }

    /// - Parameters:
    ///   - bitDepth: of the rows, 8 or 16.
    ///   - channels: 3, or 1 for a grey PNG.
    ///   - isSRGB: whether the samples are colours.
    /// - Throws: `CommandFailure` for a name with another extension, for a picture too large or too deep for a JPEG, and
    ///   for a file that cannot be written.
    init(
        _ path: String, width: Int, height: Int, bitDepth: Int, channels: Int = 3, isSRGB: Bool = true,
        sparing inputs: [String]
    ) throws {
        self.path = path
        self.bitDepth = bitDepth
        self.channels = channels
        self.isSRGB = isSRGB
        self.width = width
        self.height = height
        switch URL(fileURLWithPath: path).pathExtension.lowercased() {
        case "png", "": format = .png
        case "jpg", "jpeg": format = .jpeg
        default: throw CommandFailure("-o \(path): expected a name that ends in .png or .jpg", exit: .usage)
        }
        if format == .jpeg {
            guard bitDepth == 8 else {
                throw CommandFailure(
                    "-o \(path): a JPEG has 8 bits; expected a name that ends in .png for --depth 16", exit: .usage)
            }
            guard max(width, height) <= Image.maxJPEGSide else {
                throw CommandFailure(
                    "-o \(path): the result has \(width)x\(height) pixels, a JPEG at most \(Image.maxJPEGSide) a side; "
                        + "expected a name that ends in .png", exit: .usage)
            }
        }
        file = try OutputFile(path, sparing: inputs)
    }

    func open() throws {
        let writing = try file.open()
        self.writing = writing
        let sink = { [unowned self] (bytes: UnsafeRawBufferPointer) in
            hash.update(bufferPointer: bytes)
            try writing.write(bytes)
        }
        switch format {
        case .png:
            png = try PNGWriter(
                width: width, height: height, channels: channels, bitDepth: bitDepth, isSRGB: isSRGB, sink: sink)
        case .jpeg: jpeg = try JPEGWriter(width: width, height: height, sink: sink)
        }
    }

    /// The next rows.
    func write<Sample: PictureSample>(_ rows: UnsafeBufferPointer<Sample>) throws {
        try png?.write(rows)
        guard let jpeg else { return }
        precondition(Sample.bitWidth == 8, "a JPEG has 8 bits")
        try rows.withMemoryRebound(to: UInt8.self) { try jpeg.write($0) }
    }

    /// Completes the file.
    func finish() throws {
        try complete()
        try place()
    }

    /// Completes the file under no name. What a full disk does not take fails here.
    func complete() throws {
        try png?.finish()
        try jpeg?.finish()
        try writing?.sync()
        (png, jpeg) = (nil, nil)
        sha256 = hexadecimal(hash.finalize())
    }

    /// Gives the complete file its name.
    func place() throws {
        guard let writing else { preconditionFailure("finished before it was opened") }
        try writing.finish()
    }
}
