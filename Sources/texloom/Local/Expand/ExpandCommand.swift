import ArgumentParser
import Foundation
import Imaging
import Machine
import NNCore
import TextureGAN

struct ExpandCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "expand", abstract: "Doubles an image with a trained generator.",
        discussion: """
            The input's pixels are not kept: the result is a new texture at exactly twice the size, which follows the \
            input's large-scale structure. Give another image of the same kind to transfer the texture to it. For more, \
            give --times, or the size that you need: --size doubles the middle of the image as often as that takes.

            Images that are too large for --memory are computed in pieces; docs/expand.md says when these give the bytes \
            of the whole. PNGs are written row by row, up to 32768x32768. texloom itself reads images of up to 67 \
            megapixels.

            For a texture that tiles, as games and renderers need it, use --seamless both. A photograph does not tile, so \
            texloom first cuts a part out of it whose opposite borders fit together. The result is therefore smaller \
            than twice the image, by up to a quarter, unless --size says how large a tile you need. 'seam' says how well \
            it tiles: up to 1, the join looks like any other place. Look at it beside itself before you use it.

              texloom expand generator.safetensors photo.jpg --size 4096x2160
              texloom expand generator.safetensors photo.jpg --variations 6 --seed 7
              texloom expand generator.safetensors photo.jpg --seamless both -o tile.png
            """)

    @Argument(help: "generator.safetensors of a finished job, or a checkpoint.", completion: .file())
    var generator: String

    @Argument(help: "The image to double: PNG or JPEG.", completion: .file())
    var image: String

    @Option(
        name: .shortAndLong,
        help: """
            Where to write the result: a .png, a .jpg, or - for standard output (PNG). Default: IMAGE_2x.png or \
            IMAGE_WxH.png in the current folder.
            """)
    var output: String?

    @Option(help: "How many times to double. Default: 1.")
    var times: Int?

    @Option(
        help: ArgumentHelp(
            "The size of the result in pixels. The middle of the image is doubled as often as necessary.",
            valueName: "WxH"))
    var size: PixelSize?

    @Option(
        help: ArgumentHelp(
            "Expand N random crops with half the image's sides (or N random inputs), to NAME-1.png, NAME-2.png, ...",
            valueName: "N"))
    var variations: Int?

    @Option(
        help: ArgumentHelp(
            "What to expand: the image, its blocks shuffled (tiles:N for N by N of them; 4), or noise in its colours.",
            valueName: "kind"))
    var input = ExpansionInput.image

    @Option(help: "Of --variations, tiles and noise: the same seed gives the same files. Default: 1.")
    var seed: UInt64?

    @Option(help: ArgumentHelp("Bits of a channel of the result: 8, or 16 (PNG only).", valueName: "bits"))
    var depth = 8

    @Option(
        help: "Normalise by the image's own statistics (image), or by the averages of training (running).")
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
            MiB of memory for the computation. Default: three quarters of what the process may use, and at most 512 for \
            results of more than 67 megapixels, if pieces can be as small.
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
        options.seed = seed
        options.depth = depth
        options.statistics = statistics
        options.axes = seamless?.torus ?? []
        options.isPeriodic = periodicInput
        return options
    }

    func validate() throws {
        if let mistake = options.mistake { throw ValidationError(mistake) }
        guard variations == nil || output != "-" else {
            throw ValidationError("--variations and -o -: expected a file's name, to which numbers are added")
        }
        guard !json || output != "-" else {
            throw ValidationError("--json and -o -: both would be standard output; expected a file")
        }
        try requireThreads(threads)
        try requireMemory(memory)
    }

    func run() throws { try depth == 16 ? run(UInt16.self) : run(UInt8.self) }

    /// - Parameter Sample: of the result, and of all pictures on the way to it.
    private func run<Sample: PictureSample>(_: Sample.Type) throws {
        let (network, _) = try Generator.load(contentsOf: FileName.opened(generator).url)
        let picture: Raster<Sample> = try loadPicture(image) { complain("\(image): \($0)") }
        let files = files()
        // All of them, before the work.
        for file in files { _ = try OutputFile(file, sparing: [image, generator]) }
        let expansion = PictureExpansion(
            options, of: image, with: network, memoryMiB: memory,
            availableBytes: MachineAllowance.current.memoryBytes,
            workspace: try Workspace(threads: chosenThreads(threads)))
        let progress = ExpansionProgress(isQuiet: json || output == "-")
        var outputs: [ExpansionReport.Output] = []
        try expansion.run(picture) { index, plan in
            try PictureOutput(
                files[index], width: plan.width, height: plan.height, bitDepth: Sample.bitWidth,
                sparing: [image, generator])
        } progress: {
            progress.update($0)
        } finished: { _, target, result in
            let output = ExpansionReport.Output(path: target.path, sha256: target.sha256, picture: result)
            outputs.append(output)
            progress.clear()
            if !json, !target.isStandardOutput {
                say(FileName.readable("\(target.path): \(output.summary)").printable)
            }
        }
        if json { try sayJSON(ExpansionReport(outputs: outputs)) }
    }

    /// The files to write.
    private func files() -> [String] {
        guard let output else { return options.names(stem: FileName.stem(of: image)) }
        guard let variations else { return [output] }
        let end = (output as NSString).pathExtension
        let stem = end.isEmpty ? output : String(output.dropLast(end.count + 1))
        return (1...variations).map { "\(stem)-\($0)\(end.isEmpty ? "" : ".\(end)")" }
    }
}

extension NormStatistics: ExpressibleByArgument {}

extension PixelSize: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension ExpansionInput: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
    public static var allValueStrings: [String] { ["image", "tiles", "tiles:N", "noise"] }
    public var defaultValueDescription: String { "image" }
}

/// - Throws: `ValidationError` for an impossible limit.
func requireMemory(_ mebibytes: Int?) throws {
    if let mebibytes, !(64...1 << 24).contains(mebibytes) {
        throw ValidationError("--memory \(mebibytes): expected 64 to \(1 << 24) MiB")
    }
}

/// - Parameter note: called for each change that decoding made.
/// - Throws: `CommandFailure` naming the file and what is wrong with it.
func loadImage(_ path: String, note: (DecodedImage.Note) -> Void = { _ in }) throws -> Image {
    try loadPicture(path, note: note)
}

/// The same with 8 or 16 bits a channel.
func loadPicture<Sample>(_ path: String, note: (DecodingNote) -> Void) throws -> Raster<Sample> {
    do {
        let decoded = try DecodedRaster<Sample>(
            Image.bytes(of: FileName.opened(path).url), name: FileName.readable(path))
        decoded.notes.forEach(note)
        return decoded.image
    } catch {
        throw CommandFailure("\(error)")
    }
}
