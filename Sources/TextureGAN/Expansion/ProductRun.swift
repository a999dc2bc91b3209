import Base
import Foundation
import Imaging
import NNCore
import OperatingSystem

/// Work on a trained generator, with reports on the way: what a worker does for jobs of kind `expand` and `export`.
///
/// It takes minutes, or an hour for the largest pictures, so it keeps no checkpoints. It blocks, so it needs a thread of
/// its own.
public enum ProductRun {
    public struct Input: Sendable {
        /// PNG or JPEG by content.
        public var exemplar: URL
        /// The exemplar's file name as the user gave it.
        public var exemplarName: String
        public var generator: URL
        /// In lower-case hexadecimal.
        public var generatorSHA256: String
        public var threads: Int
        /// The memory that this run may use.
        public var availableBytes: Int
        /// Runs that share this process, including this one.
        public var concurrentRuns: Int
        public var limits: ProductLimits
        /// An existing folder for the products. The receiver of a report owns its file and removes it.
        public var folder: URL

        public init(
            exemplar: URL, exemplarName: String, generator: URL, generatorSHA256: String, threads: Int,
            availableBytes: Int, concurrentRuns: Int, limits: ProductLimits, folder: URL
        ) {
            self.exemplar = exemplar
            self.exemplarName = exemplarName
            self.generator = generator
            self.generatorSHA256 = generatorSHA256
            self.threads = threads
            self.availableBytes = availableBytes
            self.concurrentRuns = concurrentRuns
            self.limits = limits
            self.folder = folder
        }
    }

    public enum Report: Sendable {
        /// So many of ``steps`` are done.
        case advanced(step: Int)
        /// A small copy of the product with this number: PNG, at most 512 pixels a side.
        case preview(number: Int, file: URL)
        /// A complete, synced file in ``Input/folder``, and its number among the products, from 1.
        case product(number: Int, file: URL)
        case log(String)
    }

    /// A run's length.
    public static let steps = 1000

    /// The owner does not want the result any more.
    public struct Stopped: Error { public init() {} }

    /// Makes pictures.
    /// - Parameter proceeds: Whether to continue; asked for each piece of inference and for each band of rows.
    /// - Returns: What the job's report says about the pictures, as JSON.
    /// - Throws: `ExpansionFailure`, `MemoryShortage`, `ImagingError`, `TrainingError`, `FileFailure`, ``Stopped``, or what
    ///   `report` throws.
    public static func expand(
        _ options: ExpansionOptions, _ input: Input, proceeds: @escaping () -> Bool,
        report: @escaping (Report) throws -> Void
    ) throws -> String {
        try options.depth == 16
            ? expand(UInt16.self, options, input, proceeds, report)
            : expand(UInt8.self, options, input, proceeds, report)
    }

    private static func expand<Sample: PictureSample>(
        _: Sample.Type, _ options: ExpansionOptions, _ input: Input, _ proceeds: @escaping () -> Bool,
        _ report: @escaping (Report) throws -> Void
    ) throws -> String {
        let (generator, _) = try Generator.load(contentsOf: input.generator)
        let decoded = try DecodedRaster<Sample>(Image.bytes(of: input.exemplar), name: input.exemplarName)
        for note in decoded.notes { try report(.log("\(input.exemplarName): \(note)")) }
        try input.limits.check(
            options,
            PictureExpansion.check(
                options, of: input.exemplarName, width: decoded.image.width, height: decoded.image.height))
        let workspace = Workspace(threads: input.threads, arena: Arena(sharing: input.concurrentRuns))
        let expansion = PictureExpansion(
            options, of: input.exemplarName, with: generator, availableBytes: input.availableBytes,
            workspace: workspace)
        var pictures: [PictureReport] = []
        var step = 0
        try expansion.run(decoded.image) { index, plan in
            guard proceeds() else { throw Stopped() }
            return PNGFile(
                input.folder.appendingPathComponent("picture-\(index + 1).png"), width: plan.width,
                height: plan.height, bitDepth: Sample.bitWidth, proceeds: proceeds)
        } progress: { share in
            guard proceeds() else { throw Stopped() }
            let done = min(steps - 1, Int(share * Double(steps)))
            guard done > step else { return }
            step = done
            // What fails here fails again at the next product.
            try? report(.advanced(step: done))
        } finished: { index, file, picture in
            pictures.append(PictureReport(picture))
            let preview = input.folder.appendingPathComponent("preview-\(index + 1).png")
            try DurableFile.write(file.preview.image.png(), to: preview)
            try report(.preview(number: index + 1, file: preview))
            try report(.product(number: index + 1, file: file.url))
        }
        return try json(Summary(pictures: pictures))
    }

    /// Writes the generator for other programs.
    /// - Returns: What the job's report says, as JSON.
    /// - Throws: `ExpansionFailure`, `TrainingError`, `FileFailure`, or what `report` throws.
    public static func export(
        _ options: ExportOptions, _ input: Input, report: (Report) throws -> Void
    ) throws -> String {
        let model = try options.model(
            of: input.generator, sha256: input.generatorSHA256, name: "the generator of \(input.exemplarName)")
        let file = input.folder.appendingPathComponent("model.\(options.format.rawValue)")
        try DurableFile.write(model, to: file)
        try report(.product(number: 1, file: file))
        return try json(Summary(pictures: []))
    }

    private struct Summary: Encodable {
        var software = "texloom \(texloomVersion)"
        /// In the order of their numbers.
        var pictures: [PictureReport]
    }

    private struct PictureReport: Encodable {
        var width: Int
        var height: Int
        /// Bits of a channel.
        var depth: Int
        var seconds: Double
        var seam_x: Float?
        var seam_y: Float?

        init(_ picture: ExpandedPicture) {
            (width, height, depth, seconds) = (picture.width, picture.height, picture.depth, picture.seconds)
            seam_x = picture.axes.contains(.x) ? picture.seam?.x : nil
            seam_y = picture.axes.contains(.y) ? picture.seam?.y : nil
        }
    }

    private static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}

/// A PNG file that is written row by row.
private final class PNGFile: PictureSink {
    let url: URL
    private let width: Int
    private let height: Int
    private let bitDepth: Int
    private let proceeds: () -> Bool
    private(set) var preview: PicturePreview
    private var descriptor: Int32 = -1
    private var png: PNGWriter?

    init(_ url: URL, width: Int, height: Int, bitDepth: Int, proceeds: @escaping () -> Bool) {
        self.url = url
        self.width = width
        self.height = height
        self.bitDepth = bitDepth
        self.proceeds = proceeds
        preview = PicturePreview(width: width, height: height)
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    func open() throws {
        descriptor = Foundation.open(url.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileFailure("create", url) }
        png = try PNGWriter(width: width, height: height, bitDepth: bitDepth) { [unowned self] bytes in
            if let number = writeAll(bytes, into: descriptor) { throw FileFailure("write", url, number: number) }
        }
    }

    func write<Sample: PictureSample>(_ rows: UnsafeBufferPointer<Sample>) throws {
        guard proceeds() else { throw ProductRun.Stopped() }
        try png?.write(rows)
        preview.add(rows)
    }

    func finish() throws {
        try png?.finish()
        png = nil
        guard fsync(descriptor) == 0 else { throw FileFailure("sync", url) }
    }
}
