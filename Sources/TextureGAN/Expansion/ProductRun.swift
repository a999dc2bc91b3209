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
        /// A photograph, or the files of a material.
        public var exemplar: TrainingRun.Input.Source
        /// The exemplar's file name as the user gave it, or the material's name.
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
            exemplar: TrainingRun.Input.Source, exemplarName: String, generator: URL, generatorSHA256: String,
            threads: Int, availableBytes: Int, concurrentRuns: Int, limits: ProductLimits, folder: URL
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
        /// A small copy of the product with this number: PNG, at most 512 pixels a side. Of a material, of the albedo.
        case preview(number: Int, file: URL)
        /// A complete, synced file in ``Input/folder``, and its number among the products, from 1. Of a material, each
        /// map of each result has a number.
        case product(number: Int, file: URL)
        /// The same of the MaterialX document that joins the maps of a result, numbered for itself.
        case materialX(number: Int, file: URL)
        case log(String)
    }

    /// A run's length.
    public static let steps = 1000

    /// The owner does not want the result any more.
    public struct Stopped: Error { public init() {} }

    /// Makes pictures.
    /// - Parameter proceeds: Whether to continue; asked for each piece of inference and for each band of rows.
    /// - Returns: What the job's report says about the pictures, as JSON.
    /// - Throws: `ExpansionFailure`, `MemoryShortage`, `TrainingError`, `FileFailure`, ``Stopped``, what `report` throws,
    ///   or `ImagingError` if a picture cannot be encoded.
    public static func expand(
        _ options: ExpansionOptions, _ input: Input, proceeds: @escaping () -> Bool,
        report: @escaping (Report) throws -> Void
    ) throws -> String {
        switch input.exemplar {
        case .material(let files): try expand(files, options, input, proceeds, report)
        case .photograph(let file) where options.depth == 16:
            try expand(UInt16.self, file, options, input, proceeds, report)
        case .photograph(let file): try expand(UInt8.self, file, options, input, proceeds, report)
        }
    }

    private static func expand<Sample: PictureSample>(
        _: Sample.Type, _ file: URL, _ options: ExpansionOptions, _ input: Input, _ proceeds: @escaping () -> Bool,
        _ report: @escaping (Report) throws -> Void
    ) throws -> String {
        let (generator, _) = try Generator.load(contentsOf: input.generator)
        let decoded: DecodedRaster<Sample>
        do throws(ImagingError) {
            decoded = try DecodedRaster<Sample>(Image.bytes(of: file), name: input.exemplarName)
        } catch {
            throw TrainingError(error)
        }
        for note in decoded.notes { try report(.log("\(input.exemplarName): \(note)")) }
        return try run(options, with: generator, on: decoded.image, input, proceeds, report) { index, plan in
            let file = PNGFile(
                input.folder.appendingPathComponent("picture-\(index + 1).png"), width: plan.width,
                height: plan.height, bitDepth: Sample.bitWidth, proceeds: proceeds)
            return PhotographFile(file)
        }
    }

    private static func expand(
        _ files: MaterialFiles, _ options: ExpansionOptions, _ input: Input, _ proceeds: @escaping () -> Bool,
        _ report: @escaping (Report) throws -> Void
    ) throws -> String {
        let (generator, _) = try Generator.load(contentsOf: input.generator)
        let (read, notes) = try files.read(limits: .standard)
        let (material, unused) = try read.arranged(as: generator.layout)
        for note in notes + unused { try report(.log(note)) }
        let names = options.names(stem: MaterialFiles.resultName(of: input.exemplarName), extension: "")
        return try run(options, with: generator, on: material.pixels, input, proceeds, report) { index, plan in
            MaterialFolder(
                input.folder, material, names[index], number: index + 1, width: plan.width, height: plan.height,
                depth: options.depth, proceeds: proceeds)
        }
    }

    private static func run<Sample: PictureSample, Sink: ProductSink>(
        _ options: ExpansionOptions, with generator: Generator, on picture: Raster<Sample>, _ input: Input,
        _ proceeds: @escaping () -> Bool, _ report: @escaping (Report) throws -> Void,
        to sink: (Int, DoublingPlan) throws -> Sink
    ) throws -> String {
        let largest = try PictureExpansion.check(
            options, of: input.exemplarName, width: picture.width, height: picture.height)
        try input.limits.check(options, largest, of: generator.layout)
        let workspace = Workspace(threads: input.threads, arena: Arena(sharing: input.concurrentRuns))
        let expansion = PictureExpansion(
            options, of: input.exemplarName, with: generator, availableBytes: input.availableBytes,
            workspace: workspace)
        var pictures: [PictureReport] = []
        var step = 0
        try expansion.run(picture) { index, plan in
            guard proceeds() else { throw Stopped() }
            return try sink(index, plan)
        } progress: { share in
            guard proceeds() else { throw Stopped() }
            let done = min(steps - 1, Int(share * Double(steps)))
            guard done > step else { return }
            step = done
            // What fails here fails again at the next product.
            try? report(.advanced(step: done))
        } finished: { index, sink, picture in
            for (map, name, file) in sink.pictures {
                pictures.append(PictureReport(picture, map, name, depth: file.bitDepth))
                let number = pictures.count
                if let image = file.preview?.image {
                    let preview = input.folder.appendingPathComponent("preview-\(number).png")
                    try DurableFile.write(image.png(), to: preview)
                    try report(.preview(number: number, file: preview))
                }
                try report(.product(number: number, file: file.url))
            }
            if let file = sink.materialX { try report(.materialX(number: index + 1, file: file)) }
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
        /// Of a material.
        var map: String?
        /// Of a material: how the file that joins the maps calls this one.
        var name: String?
        /// Of a photograph, and of a material's albedo.
        var seam_x: Float?
        var seam_y: Float?

        init(_ picture: ExpandedPicture, _ map: MapKind?, _ name: String?, depth: Int) {
            (width, height, seconds) = (picture.width, picture.height, picture.seconds)
            self.depth = depth
            self.name = name
            self.map = map?.rawValue
            guard map == nil || map == .albedo else { return }
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
