import Crypto
import Foundation
import Imaging
import NNCore
import Testing
import TextureGAN

/// A training ends with the same bytes on every processor.
@Suite struct SameBytesTests {
    private let scratch: ScratchFolder
    private let exemplar: String

    init() throws {
        scratch = try ScratchFolder()
        exemplar = scratch.path("stripes.png")
        let pixels = (0..<80 * 80 * 3).map { UInt8(truncatingIfNeeded: $0 * $0 / 7) }
        try Image(width: 80, height: 80, pixels: pixels).png().write(to: URL(fileURLWithPath: exemplar))
    }

    /// The SHA-256 of the generator's weights after a few iterations.
    private func generator(
        _ recipe: [String], threads: Int = 1, instructions: String? = nil, coreType: String? = nil
    ) throws -> String {
        let name = [String(threads), instructions, coreType].compactMap { $0 }.joined(separator: "-")
        var environment: [String: String] = [:]
        environment["TEXLOOM_ISA"] = instructions
        environment["OPENBLAS_CORETYPE"] = coreType
        let result = try TexloomProcess.run(
            ["train", exemplar, "--out", scratch.path(name), "--threads", String(threads)] + recipe,
            folder: scratch.url, environment: environment)
        #expect(result.status == 0, "\(name): \(result.errors)")
        let path = scratch.path("\(name)/stripes_result/generator.safetensors")
        let file = try Data(contentsOf: URL(fileURLWithPath: path))
        // The header has texts of the release. Its length is the file's first number.
        let header = file.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        return SHA256.hash(data: file.dropFirst(8 + header)).map { String(format: "%02x", $0) }.joined()
    }

    private static let tiny = TinyCluster.recipe(iterations: 20)
    /// Batch norms and whole vectors of channels.
    private static let batchNorms = [
        "--recipe", "draft", "--set", "start=random", "--set", "k=16", "--set", "norm=batch", "--set", "blocks=2",
        "--set", "iterations=3", "--set", "style_every=1",
    ]
    private static let withoutStyle = batchNorms + ["--set", "style=off"]
    private static let withInstalledStyle =
        (try? FeatureWeights.installed(.vgg16)) == nil ? withoutStyle : batchNorms

    /// Every processor and every C library gives these digests. A release that computes something else has other
    /// digests, and its changelog says so.
    @Test(
        "a training ends with the bytes that it had elsewhere",
        arguments: [
            (SameBytesTests.tiny, "6dc36a2c0975b24a1f5784585038e981a14ef1a27e5ef23444d28a0bec33c752"),
            (SameBytesTests.withoutStyle, "a5dd01c628ec515e88fa8a98c0812e9cb7e0d9fe2f962bd2a1ac4d80165aaa72"),
        ])
    func aTrainingEndsWithTheBytesOfOtherMachines(_ recipe: [String], _ digest: String) throws {
        let found = try generator(recipe)
        #expect(found == digest)
    }

    @Test(
        "instruction sets, threads and OpenBLAS's kernels change no byte",
        arguments: [SameBytesTests.tiny, SameBytesTests.withInstalledStyle])
    func aTrainingEndsWithTheSameBytes(_ recipe: [String]) throws {
        let instructions = VectorInstructions.allCases.filter { $0 == .avx2 || VectorInstructions.runsAVX512 }
            .map(\.rawValue)
        let expected = try generator(recipe)
        for set in instructions {
            for threads in 1...3 { #expect(try generator(recipe, threads: threads, instructions: set) == expected) }
            for type in ["Haswell", "Zen", "SkylakeX", "Sandybridge"] {
                #expect(try generator(recipe, instructions: set, coreType: type) == expected, "\(set) \(type)")
            }
        }
    }

    @Test func anUnknownInstructionSetIsRefused() throws {
        let result = try TexloomProcess.run(
            ["recipes"], folder: scratch.url, environment: ["TEXLOOM_ISA": "sse2"])
        #expect(result.status == 1 && result.errors.contains("TEXLOOM_ISA=sse2: expected avx2 or avx512"))
    }

    @Test func aBenchmarkNamesTheInstructionsThatItRanWith() throws {
        let result = try TexloomProcess.run(
            ["bench", "step", "--iterations", "1", "--json"] + TinyCluster.recipe(iterations: 10),
            folder: scratch.url, environment: ["TEXLOOM_ISA": "avx2"])
        #expect(result.output.contains("\"instructions\" : \"avx2\""), "\(result.errors)")
        let version = try TexloomProcess.run(
            ["--version"], folder: scratch.url, environment: ["TEXLOOM_ISA": "avx2"])
        #expect(version.output.contains("avx2"))
    }
}
