import ArgumentParser
import Foundation
import Imaging
import Machine
import NNCore
import TextureGAN

struct ExpandCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "expand", abstract: "Doubles an image, or the maps of a material, with a trained generator.",
        discussion: """
            The input's pixels are not kept: the result is a new texture at exactly twice the size, which follows the \
            input's large-scale structure. For more, give --times, or the size that you need: --size doubles the middle \
            of the image as often as that takes.

            To transfer the texture to another picture, give that picture to --layout and the image that the generator \
            was trained on as IMAGE. The result has twice the layout's sides, or --size.

            Images that are too large for --memory are computed in pieces; docs/expand.md says when these give the bytes \
            of the whole. Results are written row by row, up to 32768x32768. texloom itself reads images of up to 67 \
            megapixels.

            For a texture that tiles, as games and renderers need it, use --seamless both. A photograph does not tile, so \
            texloom first fills a band where its opposite borders meet with blocks of the image. Without --size, it \
            first cuts each side that tiles: bricks and other regular patterns to whole periods, other sides to a \
            multiple of 4. So the result may be smaller than twice the image. \
            'seam' says how well the result tiles: up to 1, the join looks like any other place. Look at it beside itself \
            before you use it.

            The generator of a material takes a folder of maps, or --map, and writes a folder NAME_2x with NAME_2x_Color.png, \
            NAME_2x_NormalGL.png, ... and NAME_2x.mtlx for programs that read MaterialX (docs/materials.md).

              texloom expand generator.safetensors photo.jpg --size 4096x2160
              texloom expand generator.safetensors photo.jpg --variations 6 --seed 7
              texloom expand generator.safetensors photo.jpg --variations 3 --near a.png
              texloom expand generator.safetensors photo.jpg --layout sketch.png
              texloom expand generator.safetensors photo.jpg --seamless both -o tile.png
            """)

    @Argument(help: "generator.safetensors of a finished job, or a checkpoint.", completion: .file())
    var generator: String

    @Argument(help: "The image to double: PNG or JPEG. Of a material: the folder of its maps.", completion: .file())
    var image: String?

    @OptionGroup var maps: MapOptions

    @Option(
        name: .output,
        help: """
            Where to write the result: a .png, a .jpg, a folder that exists, or - for standard output (PNG). Default: \
            IMAGE_2x.png or IMAGE_WxH.png in the current folder; of tiles, layouts and other inputs IMAGE_2x_tile.png and \
            so on. A name without an extension that is no folder becomes a PNG file. Of a material: the folder to write.
            """)
    var output: String?

    @Option(help: "How many times to double, at most \(DoublingPlan.maxDoublings). Default: 1.")
    var times: Int?

    @Option(
        help: ArgumentHelp(
            "The size of the result in pixels. The middle of the image is doubled as often as necessary.",
            valueName: "WxH"), transform: { try PixelSize(argument: $0) })
    var size: PixelSize?

    @Option(
        help: ArgumentHelp(
            "Expand N random crops with half the image's sides (or N random inputs), to NAME-1.png, NAME-2.png, ...",
            valueName: "N"))
    var variations: Int?

    @Option(
        help: ArgumentHelp(
            "With --variations: not random crops, but the N that are most like this picture (PNG or JPEG).",
            valueName: "picture"),
        completion: .file())
    var near: String?

    @Option(
        help: ArgumentHelp(
            "Texture transfer: lay the image out so that light and dark follow this picture (PNG or JPEG).",
            valueName: "picture"),
        completion: .file())
    var layout: String?

    @Option(help: "With --layout: how far it is followed, 0 (not at all) to 1. Default: 1.")
    var strength: Double?

    @Option(
        help: ArgumentHelp(
            "What to expand: the image, its blocks shuffled (tiles:N for N by N of them; 4), or noise in its colours. "
                + "Tiles cut each side to whole blocks.",
            valueName: "kind"))
    var input = ExpansionInput.image

    @Option(help: "Of --variations, tiles, noise and --layout: the same seed gives the same files. Default: 1.")
    var seed: UInt64?

    @Option(
        help: ArgumentHelp(
            "Bits of a channel of the result: 8, or 16 (PNG only). Default: 8; for each map of a material, the input's.",
            valueName: "bits"))
    var depth: Int?

    @Option(
        help: """
            Normalise by the image's own statistics (image), or by the averages of training (running), which only \
            batch norm has.
            """)
    var statistics = NormStatistics.image

    @Option(
        help: """
            Make a result that tiles: both for left to right and top to bottom, x for left to right only, y for top to \
            bottom only.
            """)
    var seamless: Axes?

    @Flag(help: "With --seamless: the image tiles already, so use it whole. Its sides must be multiples of 4.")
    var periodicInput = false

    @Option(
        help: """
            MiB of memory for the whole process. Default: three quarters of what the process may use. For results of \
            more than 67 megapixels, features then take at most 512 MiB, if pieces can be as small.
            """)
    var memory: Int?

    @Option(help: "Threads. Default: TEXLOOM_THREADS, or one for each processor that may be used.")
    var threads: Int?

    @Flag(help: "Print JSON: for each result its path, size, SHA-256, seconds, and the seams of one that tiles.")
    var json = false

    enum Axes: String, ExpressibleByArgument, CaseIterable {
        case both, x, y

        var torus: TorusAxes {
            switch self {
            case .both: .both
            case .x: .x
            case .y: .y
            }
        }
    }

    /// What the flags ask for.
    private var options: ExpansionOptions {
        var options = ExpansionOptions()
        options.times = times
        options.size = size
        options.variations = variations
        options.input = input
        // With a layout, a seed has an effect on a single result, too.
        options.seed = layout == nil ? seed : nil
        options.depth = depth
        options.statistics = statistics
        options.axes = seamless?.torus ?? []
        options.isPeriodic = periodicInput
        return options
    }

    func validate() throws {
        let paths: [(name: String, path: String?)] = [
            ("GENERATOR", generator), ("IMAGE", image), ("-o", output), ("--near", near), ("--layout", layout),
        ]
        if let empty = paths.first(where: { $0.path?.isEmpty == true }) {
            throw ValidationError("\(empty.name) '': expected a path")
        }
        if let mistake = options.mistake { throw ValidationError(mistake) }
        guard variations == nil || output != "-" else {
            throw ValidationError("--variations and -o -: expected a file's name, to which numbers are added")
        }
        if layout != nil {
            guard near == nil, input == .image else {
                throw ValidationError("--layout and \(near == nil ? "--input" : "--near"): expected one of them")
            }
            guard !periodicInput else {
                throw ValidationError("--periodic-input: a layout's result does not tile; expected --seamless alone")
            }
        }
        guard strength == nil || layout != nil else {
            throw ValidationError("--strength without --layout: expected --layout PICTURE too")
        }
        if let strength, !(0...1).contains(strength) {
            throw ValidationError("--strength \(strength): expected 0 to 1")
        }
        if near != nil {
            guard variations != nil else {
                throw ValidationError("--near without --variations: expected --variations N too")
            }
            guard input == .image else { throw ValidationError("--near and --input: expected one of them") }
            guard seed == nil else {
                throw ValidationError("--near and --seed: expected one of them, because nothing is random")
            }
        }
        try maps.require(instead: image, "an image or a folder of maps")
        guard !json || output != "-" else {
            throw ValidationError("--json and -o -: both would be standard output; expected a file")
        }
        try requireThreads(threads)
        try requireMemory(memory)
    }

    func run() throws {
        let (network, _) = try Generator.load(contentsOf: FileName.opened(generator).url)
        // Before the folder is read, which may hold photographs.
        if !network.layout.isMaterial, image.map(FileName.isFolder) ?? true {
            throw CommandFailure(
                "\(generator) was trained on one picture and knows no maps; expected a picture instead of "
                    + (image ?? maps.materialName), exit: .usage)
        }
        if let files = try maps.files(orFolder: image) {
            try run(network, on: files)
        } else if let image {
            guard !network.layout.isMaterial else {
                throw CommandFailure(
                    "\(generator) makes the maps \(network.layout) and \(image) is one image; expected the folder of a "
                        + "material, or --map", exit: .usage)
            }
            try depth == 16 ? run(network, on: image, UInt16.self) : run(network, on: image, UInt8.self)
        }
    }

    private func run(_ network: Generator, on files: MaterialFiles) throws {
        guard output != "-" else {
            throw CommandFailure("-o -: a material has several files; expected a folder", exit: .usage)
        }
        let expansion = try expansion(of: files.name, with: network)
        let header = try files.header(limits: .standard)
        try expansion.require(
            width: header.width, height: header.height, sampleBytes: 2, readingBytes: header.readingBytes)
        let (read, notes) = try files.read(limits: .standard)
        notes.forEach { complain($0) }
        let (material, unused) = try arranged(read, for: network)
        unused.forEach { complain($0) }
        let maps = files.files.map(\.url.path)
        let folders = maps.map { FileName.parent(ofPath: $0) }
        try run(
            expansion, on: { material.pixels }, to: paths(of: options, image: material.name, isMaterial: true)
        ) { path, width, height in
            try MaterialOutput(
                path, material, width: width, height: height, depth: depth, sparing: maps + [generator] + others,
                besides: folders)
        }
    }

    private func arranged(
        _ material: Material, for network: Generator
    ) throws(CommandFailure) -> (material: Material, notes: [String]) {
        do {
            return try material.arranged(as: network.layout)
        } catch {
            throw CommandFailure(error.message, exit: .usage)
        }
    }

    /// - Parameter Sample: of the result, and of all pictures on the way to it.
    private func run<Sample: PictureSample>(_ network: Generator, on image: String, _: Sample.Type) throws {
        func picture() throws -> Raster<Sample> { try loadPicture(image) { complain("\(image): \($0)") } }
        let expansion = try expansion(of: image, with: network)
        let (header, sampleBytes) = (try pictureHeader(image), MemoryLayout<Sample>.size)
        try expansion.require(
            width: header.width, height: header.height, sampleBytes: sampleBytes,
            readingBytes: header.decodingBytes(sampleBytes: sampleBytes))
        try run(
            expansion, on: picture, to: paths(of: options, image: image, isMaterial: false)
        ) { path, width, height in
            try PictureOutput(
                path, width: width, height: height, bitDepth: Sample.bitWidth, sparing: [image, generator] + others)
        }
    }

    /// Inputs besides the image and the generator.
    private var others: [String] { [near, layout].compactMap { $0 } }

    private func expansion(of image: String, with network: Generator) throws -> PictureExpansion {
        PictureExpansion(
            options, of: image, with: network, memoryMiB: memory,
            availableBytes: MachineAllowance.current.memoryBytes,
            guide: try guide(), workspace: try Workspace(threads: chosenThreads(threads)))
    }

    /// - Parameters:
    ///   - expansion: knows that the result fits.
    ///   - picture: decodes it.
    ///   - result: the files of a result with a name and a size.
    private func run<Sample: PictureSample>(
        _ expansion: PictureExpansion, on picture: () throws -> Raster<Sample>, to paths: [String],
        result: (_ path: String, _ width: Int, _ height: Int) throws -> some ResultFiles
    ) throws {
        // All of them, before the work.
        for path in paths { _ = try result(path, 2, 2) }
        let progress = ExpansionProgress(isQuiet: json || output == "-")
        var outputs: [ExpansionReport.Output] = []
        try expansion.run(picture()) { index, plan in
            try result(paths[index], plan.width, plan.height)
        } progress: {
            progress.update($0)
        } finished: { index, target, picture in
            let written = target.written.map { ExpansionReport.Output(file: $0, picture: picture) }
            outputs += written
            progress.clear()
            if !json, output != "-", let first = written.first {
                say(FileName.readable("\(paths[index]): \(first.summary)").printable)
            }
        }
        if json { try sayJSON(ExpansionReport(outputs: outputs)) }
    }

    private func guide() throws -> PictureExpansion.Guide? {
        func picture(_ path: String) throws -> GuidePicture {
            let header = try pictureHeader(path)
            return GuidePicture(
                name: path, width: header.width, height: header.height, decodingBytes: header.decodingBytes()
            ) {
                try loadImage(path) { complain("\(path): \($0)") }
            }
        }
        if let near { return .near(try picture(near)) }
        return try layout.map { .layout(try picture($0), strength: strength ?? 1, seed: seed ?? 1) }
    }

    /// The results to write: files, or the folders of a material.
    private func paths(of options: ExpansionOptions, image: String, isMaterial: Bool) -> [String] {
        let guide = layout != nil ? "layout" : near != nil ? "near" : nil
        let names = options.names(
            stem: FileName.stem(of: image), guide: guide, extension: isMaterial ? "" : ".png")
        guard var output else { return names }
        let isFolder = output != "-" && (output.hasSuffix("/") || FileName.isFolder(output))
        while output.count > 1, output.hasSuffix("/") { output.removeLast() }
        if isFolder, !isMaterial { return names.map { "\(output)/\($0)" } }
        guard let variations else { return [output] }
        // These are no names to which numbers could be added.
        if [".", "..", ""].contains(FileName.lastComponent(ofPath: output)) { return names.map { "\(output)/\($0)" } }
        // A folder's name has no extension.
        let end = isMaterial ? "" : URL(fileURLWithPath: output).pathExtension
        let stem = end.isEmpty ? output : String(output.dropLast(end.count + 1))
        return (1...variations).map { "\(stem)-\($0)\(end.isEmpty ? "" : ".\(end)")" }
    }
}

extension NormStatistics: ExpressibleByArgument {}

extension PixelSize {
    /// - Throws: `ValidationError` with an example.
    fileprivate init(argument: String) throws {
        guard let size = PixelSize(argument) else {
            throw ValidationError("expected WxH, such as \(PixelSize.example(for: argument))")
        }
        self = size
    }
}

extension ExpansionInput: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
    public static var allValueStrings: [String] { ["image", "tiles", "tiles:N", "noise"] }
    public var defaultValueDescription: String { "image" }
}
