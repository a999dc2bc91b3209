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
        help: "Normalise by the image's own statistics (image), or by the averages of training (running).")
    var statistics = Statistics.image

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

    enum Statistics: String, ExpressibleByArgument, CaseIterable { case image, running }

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

    func validate() throws {
        if let times {
            guard (1...DoublingPlan.maxDoublings).contains(times) else {
                throw ValidationError("--times \(times): expected 1 to \(DoublingPlan.maxDoublings)")
            }
            guard size == nil else { throw ValidationError("--times and --size: expected one of them") }
        }
        guard !periodicInput || seamless != nil else {
            throw ValidationError("--periodic-input without --seamless: expected --seamless both, x or y too")
        }
        guard !periodicInput || size == nil else {
            throw ValidationError("--periodic-input and --size: a part of a tile does not tile; expected --times")
        }
        guard !json || output != "-" else {
            throw ValidationError("--json and -o -: both would be standard output; expected a file")
        }
        try requireThreads(threads)
        try requireMemory(memory)
    }

    func run() throws {
        let (network, _) = try Generator.load(contentsOf: FileName.opened(generator).url)
        let picture = try loadImage(image) { complain("\(image): \($0)") }
        let frame = ExpansionFrame(
            name: image, times: times, size: size, axes: seamless?.torus ?? [], isPeriodic: periodicInput)
        let (input, plan) = try frame.prepared(picture)
        let path = output ?? frame.defaultName
        let target = try PictureOutput(
            path, width: plan.width, height: plan.height, sparing: [image, generator])
        let expander = PictureExpander(
            generator: network, statistics: statistics, axes: seamless?.torus,
            memoryMiB: memory, workspace: try Workspace(threads: chosenThreads(threads)))
        let progress = ExpansionProgress(isQuiet: json || target.isStandardOutput)
        let result = try expander.expand(input, by: plan, to: target) { progress.update($0) }
        progress.end()
        if json { return try sayJSON(ExpansionReport(outputs: [result])) }
        guard !target.isStandardOutput else { return }
        say(FileName.readable("\(path): \(result.summary)").printable)
    }
}

/// A width and a height, written as WxH.
struct PixelSize: ExpressibleByArgument {
    let width: Int
    let height: Int

    init?(argument: String) {
        let sides = argument.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard sides.count == 2, let width = sides[0], let height = sides[1], min(width, height) > 0 else { return nil }
        self.width = width
        self.height = height
    }
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
    do {
        let decoded = try DecodedImage(
            Image.bytes(of: FileName.opened(path).url), name: FileName.readable(path))
        decoded.notes.forEach(note)
        return decoded.image
    } catch {
        throw CommandFailure("\(error)")
    }
}
