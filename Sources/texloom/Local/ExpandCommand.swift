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
            input's large-scale structure. Give another image of the same kind to transfer the texture to it, and the \
            result again (--times 2) to quadruple.

            Images that are too large for --memory are computed in pieces, which agree with the whole to the last \
            rounding; with the image's own statistics that takes about 1.6 times as long.

            For a texture that tiles, as games and renderers need it, use --seamless both. A photograph does not tile, so \
            texloom first cuts a part out of it whose opposite borders fit together. The result is therefore smaller \
            than twice the image, by up to a quarter. 'seam' says how well it tiles: up to 1, the join looks like any \
            other place. Look at it beside itself before you use it.

              texloom expand generator.safetensors photo.jpg --seamless both -o tile.png
            """)

    @Argument(help: "generator.safetensors of a finished job, or a checkpoint.", completion: .file())
    var generator: String

    @Argument(help: "The image to double: PNG or JPEG.", completion: .file())
    var image: String

    @Option(
        name: .shortAndLong,
        help: """
            Where to write the result: a .png, a .jpg, or - for standard output (PNG). Default: IMAGE_2x.png in the \
            current folder.
            """)
    var output: String?

    @Option(help: "How many times to double.")
    var times = 1

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

    @Option(help: "MiB of memory for the computation. Default: three quarters of what the process may use.")
    var memory: Int?

    @Option(help: "Threads. Default: TEXLOOM_THREADS, or one for each processor that may be used.")
    var threads: Int?

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
        guard (1...8).contains(times) else { throw ValidationError("--times \(times): expected 1 to 8") }
        guard !periodicInput || seamless != nil else {
            throw ValidationError("--periodic-input without --seamless: expected --seamless both, x or y too")
        }
        try requireThreads(threads)
        try requireMemory(memory)
    }

    func run() throws {
        let (network, _) = try Generator.load(contentsOf: FileName.opened(generator).url)
        var picture = try loadImage(image) { complain("\(image): \($0)") }
        if let seamless { picture = try periodic(picture, along: seamless.torus) }
        let (width, height) = (picture.width << times, picture.height << times)
        guard ImageLimits.standard.allow(width: width, height: height) else {
            let error = ImageLimits.standard.tooLarge("the result of --times \(times)", width, height)
            throw CommandFailure(
                error.message + (times > 1 ? ", or take a smaller --times" : ""), exit: .usage)
        }
        let path = output ?? "\(FileName.stem(of: image))_\(1 << times)x.png"
        let format = try PictureFormat(ofFile: path, width: width, height: height)
        let target = try OutputFile(path, sparing: [image, generator])
        let workspace = try Workspace(threads: chosenThreads(threads))
        for _ in 0..<times {
            picture = try expand(
                picture, with: network, statistics: statistics, seamless: seamless?.torus, memoryMiB: memory,
                in: workspace)
        }
        try target.write(format == .png ? picture.png() : picture.jpeg())
        guard !target.isStandardOutput else { return }
        let tiling = seamless.map { ", \($0.torus.seams(of: picture))" } ?? ""
        say(FileName.readable("\(path): \(picture.width)x\(picture.height)\(tiling)").printable)
    }

    /// The image itself if it is said to tile, or a part of it that does.
    /// - Throws: `CommandFailure` for an image that is too small, or whose sides do not fit.
    private func periodic(_ picture: Image, along axes: TorusAxes) throws -> Image {
        let sides = (axes.contains(.x) ? [picture.width] : []) + (axes.contains(.y) ? [picture.height] : [])
        let size = "\(image) has \(picture.width)x\(picture.height) pixels"
        if periodicInput {
            guard sides.allSatisfy({ $0 % 4 == 0 }) else {
                throw CommandFailure(
                    "\(size); --periodic-input expects sides that are multiples of 4: scale it, or omit the flag",
                    exit: .usage)
            }
            return picture
        }
        guard sides.allSatisfy({ $0 >= PeriodicImage.minSide }) else {
            throw CommandFailure(
                "\(size); --seamless expects at least \(PeriodicImage.minSide) a side: give a larger image",
                exit: .usage)
        }
        return PeriodicImage.made(from: picture, along: axes)
    }
}

extension TorusAxes {
    /// How the joins look, in words.
    func seams(of image: Image) -> String {
        let seam = Seam(image)
        let values = [(TorusAxes.x, "x", seam.x), (.y, "y", seam.y)].filter { contains($0.0) }
        return values.map { _, name, value in
            "seam \(name) \(value.map { String(format: "%.2f", $0) } ?? "not measured (too small)")"
        }.joined(separator: ", ") + (values.contains { ($0.2 ?? 0) > 1 } ? " (above 1: look at the join)" : "")
    }
}

/// The format of an output picture, by the file's name.
enum PictureFormat {
    case png, jpeg

    /// - Throws: `CommandFailure` for a name with another extension, and for a picture too large for a JPEG.
    init(ofFile path: String, width: Int, height: Int) throws {
        switch URL(fileURLWithPath: path).pathExtension.lowercased() {
        case "png", "": self = .png
        case "jpg", "jpeg": self = .jpeg
        default: throw CommandFailure("-o \(path): expected a name that ends in .png or .jpg", exit: .usage)
        }
        guard self == .png || max(width, height) <= Image.maxJPEGSide else {
            throw CommandFailure(
                "-o \(path): the result has \(width)x\(height) pixels, a JPEG at most \(Image.maxJPEGSide) a side; "
                    + "expected a name that ends in .png", exit: .usage)
        }
    }
}

/// Expands within a memory limit: the given one, or three quarters of the memory that the process may use.
/// - Throws: `CommandFailure` saying how much memory is needed.
func expand(
    _ image: Image, with generator: Generator, statistics: ExpandCommand.Statistics, seamless axes: TorusAxes? = nil,
    memoryMiB: Int?, in workspace: Workspace
) throws -> Image {
    let wanted = memoryMiB.map { $0 << 20 } ?? MachineAllowance.current.memoryBytes / 4 * 3
    // Less than the limit where address space is limited.
    let limit = max(0, min(wanted, Expansion.memoryLimit(in: workspace)))
    let norms: BatchNorm.Statistics = statistics == .image ? .image : .running
    do {
        if let axes {
            return try Expansion.seamless(
                image, along: axes, with: generator, statistics: norms, memoryLimit: limit, in: workspace)
        }
        return try Expansion.expand(
            image, with: generator, statistics: norms, memoryLimit: limit, in: workspace)
    } catch {
        throw CommandFailure(
            "\(image.width)x\(image.height) pixels do not fit in the \(limit >> 20) MiB of --memory: expected at least "
                + "\((error.neededBytes >> 20) + 1) MiB"
                + (statistics == .image ? ", or --statistics running, which can use smaller pieces" : ""),
            exit: .usage)
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
