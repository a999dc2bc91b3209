import ArgumentParser
import Foundation
import TextureGAN

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Writes a generator for other programs.",
        discussion: """
            The ONNX model takes 'image', float [1, C, height, width] in [-1, 1], and returns 'expanded' at twice the \
            size in the same range. C is 3 (red, green, blue), or the number of channels of a material's maps. The \
            sides must be multiples of 4. Its metadata says so, and \
            holds the recipe, the seed and the SHA-256 of the generator file.

            The model has no frame: give it some pixels around the image and crop them away, as 'texloom expand' does. \
            docs/onnx.md shows how to run it.

              texloom export generator.safetensors --format onnx -o generator.onnx
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case onnx }

    @Argument(help: "generator.safetensors of a finished job, or a checkpoint.", completion: .file())
    var generator: String

    @Option(help: "The format: onnx (opset 15).")
    var format = Format.onnx

    @Option(
        help: """
            How norms normalise: by the image's own statistics (image), or by the averages of training (running). \
            Generators without norms (draft, study, fast) are the same either way.
            """)
    var statistics = NormStatistics.image

    @Option(name: .output, help: "The file to write; - is standard output.")
    var output: String

    func run() throws {
        let target = try OutputFile(output, sparing: [generator])
        let source = FileName.opened(generator).url
        let options = ExportOptions(statistics: statistics)
        let model = try options.model(of: source, sha256: sha256(of: source), name: generator)
        try target.write(model)
        if !target.isStandardOutput { say(FileName.readable("\(output): the generator of \(generator)").printable) }
    }
}
