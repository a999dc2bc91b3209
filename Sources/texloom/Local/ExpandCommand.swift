import ArgumentParser
import Foundation
import Imaging
import NNCore
import TextureGAN

struct ExpandCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "expand", abstract: "Doubles an image with a trained generator.",
        discussion: """
            The input's pixels are not kept: the result is a new texture at exactly twice the size, which follows the
            input's large-scale structure. Give another image of the same kind to transfer the texture to it, and the
            result again (--times 2) to quadruple.
            """)

    @Argument(help: "generator.safetensors of a finished job.", completion: .file())
    var generator: String

    @Argument(help: "The image to double: PNG or JPEG.", completion: .file())
    var image: String

    @Option(name: .shortAndLong, help: "Where to write the PNG. Default: IMAGE_2x.png in the current folder.")
    var output: String?

    @Option(help: "How many times to double.")
    var times = 1

    @Option(
        help: "Normalise by the image's own statistics (image), or by the averages of training (running).")
    var statistics = Statistics.image

    @Option(help: "Threads. Default: all cores.")
    var threads: Int?

    enum Statistics: String, ExpressibleByArgument, CaseIterable { case image, running }

    func validate() throws {
        guard (1...8).contains(times) else { throw ValidationError("--times \(times): expected 1 to 8") }
        try requireThreads(threads)
    }

    func run() throws {
        let (network, _) = try Generator.load(contentsOf: URL(fileURLWithPath: generator))
        var picture = try loadImage(image)
        let limit = ImageLimits.standard.maxPixels
        let (width, height) = (picture.width << times, picture.height << times)
        guard width <= limit / height else {
            throw CommandFailure(
                "--times \(times) would make \(width)x\(height) pixels; expected at most \(limit) in all", exit: .usage)
        }
        let workspace = Workspace(threads: threads ?? availableCores())
        for _ in 0..<times {
            picture = Expansion.expand(
                picture, with: network, statistics: statistics == .image ? .image : .running, in: workspace)
        }
        let stem = URL(fileURLWithPath: image).deletingPathExtension().lastPathComponent
        let target = output ?? "\(stem)_\(1 << times)x.png"
        try write(try picture.png(), to: URL(fileURLWithPath: target))
        say("\(target): \(picture.width)x\(picture.height)")
    }
}

/// - Throws: `CommandFailure` naming the file and what is wrong with it.
func loadImage(_ path: String) throws -> Image {
    do {
        return try Image(contentsOf: URL(fileURLWithPath: path))
    } catch {
        throw CommandFailure("\(error)")
    }
}

/// Writes a file whole or not at all. - Throws: `CommandFailure` naming the file.
func write(_ data: Data, to url: URL) throws {
    do {
        try data.write(to: url, options: .atomic)
    } catch {
        throw CommandFailure("\(url.path) cannot be written: \(error.localizedDescription)")
    }
}
