import Foundation
import Protocol
import Testing

@testable import texloom

/// How commands behave when nothing reads their output.
@Suite struct OutputTests {
    private func shell(_ script: String, folder: URL, environment: [String: String] = [:]) throws -> (Int32, String) {
        let process = Process()
        let output = folder.appendingPathComponent("shell-\(UUID().uuidString).out")
        try Data().write(to: output)
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments = ["-c", script, TexloomProcess.executable.path]
        process.environment = TexloomProcess.environment(home: folder).merging(environment) { $1 }
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = process.standardOutput
        try process.run()
        process.waitUntilExit()
        return (process.terminationStatus, try String(contentsOf: output, encoding: .utf8))
    }

    @Test(arguments: ["recipes fast", "--help", "help train", "weights"])
    func outputThatCannotBeWrittenEndsWith1AndAMessage(command: String) throws {
        let scratch = try ScratchFolder()
        let (status, said) = try shell("\"$0\" \(command) > /dev/full", folder: scratch.url)
        #expect(status == 1, "\(said)")
        #expect(said.contains("standard output cannot be written: No space left on device"), "\(said)")
    }

    /// Foundation's NSString traps where it looks for the folder of such a name.
    @Test func anOutputMayHaveANameOfOneCharacter() throws {
        let scratch = try ScratchFolder()
        try TinyCluster.exemplar(seed: 2).write(to: URL(fileURLWithPath: scratch.path("p.png")))
        let train = "\"$0\" train p.png --threads 1 " + TinyCluster.recipe(iterations: 10).joined(separator: " ")
        let generator = "out/p_result/generator.safetensors"
        let (status, said) = try shell(
            """
            cd '\(scratch.url.path)' && ln -s n link && \(train) --out out > /dev/null || exit 9
            "$0" expand \(generator) p.png --output a && "$0" export \(generator) --out link || exit 8
            "$0" generator out/p_result/last_checkpoint.safetensors -o g && "$0" expand g p.png -o ./x --variations 2
            """, folder: scratch.url)
        #expect(status == 0, "\(said)")
        for name in ["a", "n", "g", "x-1", "x-2"] {
            #expect(FileManager.default.fileExists(atPath: scratch.path(name)), "\(name)")
        }
    }

    @Test func aReaderThatHasSeenEnoughEndsACommandQuietly() throws {
        let scratch = try ScratchFolder()
        let (_, said) = try shell(
            "\"$0\" recipes fast | head -n 1; echo status ${PIPESTATUS[0]}", folder: scratch.url)
        #expect(said.split(separator: "\n").count == 2 && said.hasSuffix("status 0\n"), "\(said)")
    }

    /// The job waits for ever, so the command writes nothing that could reveal the broken pipe.
    @Test(arguments: ["logs -f tile", "watch --json", "watch tile --json"])
    func aFollowerEndsWithItsReaderEvenIfNothingMoreComes(command: String) throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("tile.png", seed: 1)
        #expect(try cluster.run(["submit", exemplar] + TinyCluster.recipe(iterations: 60)).status == 0)
        let (_, said) = try shell(
            "timeout 100 \"$0\" \(command) | head -n 1 > /dev/null; echo status ${PIPESTATUS[0]}",
            folder: cluster.scratch.folder.url, environment: ["TEXLOOM_API": cluster.address])
        #expect(said == "status 0\n", "124 is the time-out: \(said)")
    }

    @Test func aTrainingGoesOnWithoutItsReader() throws {
        let scratch = try ScratchFolder()
        try TinyCluster.exemplar(seed: 2).write(to: URL(fileURLWithPath: scratch.path("moss.png")))
        let recipe = TinyCluster.recipe(iterations: 60).joined(separator: " ")
        let (_, said) = try shell(
            "\"$0\" train '\(scratch.path("moss.png"))' --threads 1 \(recipe) | head -n 1 > /dev/null; echo status ${PIPESTATUS[0]}",
            folder: scratch.url, environment: ["TEXLOOM_OUT": scratch.path("o")])
        #expect(said.hasSuffix("status 0\n"), "\(said)")
        #expect(FileManager.default.fileExists(atPath: scratch.path("o/moss_result/result.json")))
    }

    @Test func jsonHoldsNothingThatATerminalObeys() throws {
        let hostile = "a\u{9B}31m\u{7F}\u{202E}b\u{2028}\n"
        let data = try JSONEncoder().encode([hostile])
        let safe = terminalSafe(json: data)
        #expect(!safe.unicodeScalars.contains { $0.isObeyed }, "\(safe)")
        #expect(try JSONDecoder().decode([String].self, from: Data(safe.utf8)) == [hostile])
    }
}
