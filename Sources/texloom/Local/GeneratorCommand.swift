import ArgumentParser
import Foundation
import TextureGAN

struct GeneratorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generator", abstract: "Writes the generator of a checkpoint to a file of its own.",
        discussion: """
            For an interrupted or running training: the file is the one that the training would write if it ended at \
            that iteration. 'texloom expand' also takes the checkpoint itself.

              texloom generator last_checkpoint.safetensors -o generator.safetensors
            """)

    @Argument(help: "The checkpoint.", completion: .file())
    var checkpoint: String

    @Option(name: .output, help: "The file to write; - is standard output.")
    var output: String

    func run() throws {
        let target = try OutputFile(output, sparing: [checkpoint])
        try target.write(try Generator.file(fromCheckpoint: FileName.opened(checkpoint).url))
        if !target.isStandardOutput { say(FileName.readable("\(output): the generator of \(checkpoint)").printable) }
    }
}
