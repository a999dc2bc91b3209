import ClusterCore
import Foundation
import Protocol
import Testing
import TextureGAN

@testable import Coordinator
@testable import texloom

/// What the coordinator learns about work that follows a training.
@Suite struct FollowerNeedsTests {
    private func needs(
        _ spec: String, _ recipe: String = "base: draft", kind: JobKind = .expand, side: Int = 512,
        maps: [String] = []
    ) throws -> JobNeeds {
        let source = SubmittedTraining(
            recipeYAML: recipe, fileName: "wall.png", width: side, height: side, maps: maps)
        return try JobNeeds(of: FollowUp(kind: kind, spec: spec), after: source)
    }

    @Test func largerPicturesNeedMoreMemory() throws {
        let sizes = try ["times=1", "size=16384x16384", "size=32768x32768"].map { try needs($0).memoryBytes }
        #expect(sizes == sizes.sorted() && sizes[0] > 0 && sizes[1] < 1 << 30 && sizes[2] > 1 << 30, "\(sizes)")
        // Norms measure the whole picture.
        #expect(try needs("size=16384x16384", "base: paper").memoryBytes > 8 << 30)
        #expect(try needs("size=16384x16384,statistics=running", "base: paper").memoryBytes < 2 << 30)
    }

    /// The same as `texloom submit` sends.
    @Test func aTrainingNeedsMemoryAlsoIfItsSubmissionDoesNotSay() throws {
        let known = RecipeNeeds()
        func needs(_ recipe: String, side: Int = 512, maps: [String] = []) -> JobNeeds {
            known.needs(
                of: SubmittedTraining(
                    recipeYAML: recipe, fileName: "wall.png", width: side, height: side, maps: maps))
        }
        let paper = try Recipe(yaml: "base: paper", source: "recipe")
        let sent = try JobNeeds(of: paper, width: 512, height: 512, layout: .picture, exemplar: "wall.png")
        #expect(needs("base: paper") == sent && sent.memoryBytes > 0)
        #expect(needs("base: draft").memoryBytes < sent.memoryBytes)
        #expect(needs("base: draft", maps: ["albedo", "orm"]).memoryBytes > needs("base: draft").memoryBytes)
        // The worker that gets these says what is wrong.
        #expect(needs("base: paper", side: 8) == JobNeeds(weights: sent.weights))
        #expect(needs("base: none") == JobNeeds())
    }

    /// The worker that gets it says what is wrong.
    @Test func whatCannotBeReadNeedsNothing() throws {
        #expect(try needs("colour=red") == JobNeeds() && needs("times=1", "base: none") == JobNeeds())
        #expect(try needs("format=onnx", kind: .export) == JobNeeds())
    }

    @Test(arguments: [(JobKind.expand, "statistics=running"), (.export, "onnx,statistics=running")])
    func averagesThatNoGeneratorHasAreRefusedBeforeTheTraining(_ kind: JobKind, _ spec: String) throws {
        let instance = "base: paper\nnorm: instance"
        let failure = #expect(throws: ExpansionFailure.self) { try needs(spec, instance, kind: kind) }
        #expect(failure?.message.contains("without running averages") == true, "\(failure?.message ?? "")")
        _ = try needs(spec, "base: paper", kind: kind)
    }

    @Test func whatIsTooLargeForTheClusterIsRefused() throws {
        for (spec, wanted) in [
            ("size=32768x32768,depth=16", "a file on the cluster has at most 4.0 GiB"),
            ("size=99999x99999", "megapixels"), ("variations=257", "at most 256 pictures"),
            ("variations=30,size=16384x16384", "which is 21 of them"),
        ] {
            let failure = #expect(throws: ExpansionFailure.self) { try needs(spec) }
            #expect(failure?.message.contains(wanted) == true, "\(failure?.message ?? "")")
        }
    }

    /// A submission may ask for networks of gigabytes. Their weights are counted, not made.
    @Test func needsOfLargeNetworksTakeNoMemory() throws {
        func resident() throws -> Int {
            let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")[1]
            return Int(pages)! * Int(getpagesize())
        }
        let before = try resident()
        let recipe = "base: draft\nstart: random\nngf: 256\nblocks: 32"
        #expect(try needs("times=1", recipe).memoryBytes > 2 << 30)
        #expect(try resident() - before < 1 << 30)
    }

    /// A material has 9 channels of 16 bits, a photograph 3 of 8; each of its maps is a file.
    @Test func materialsNeedMoreThanPhotographs() throws {
        let maps = ["albedo", "normal-gl", "orm"]
        let size = "size=16384x16384"
        #expect(try needs(size, maps: maps).memoryBytes > 3 * needs(size).memoryBytes)
        #expect(try needs("variations=51", maps: maps).memoryBytes > 0)
        for (spec, wanted) in [
            ("variations=52", "52 variations of 5 maps: a job makes at most 256 pictures"),
            ("size=32768x32768", "a file on the cluster has at most 4.0 GiB"),
        ] {
            let failure = #expect(throws: ExpansionFailure.self) { try needs(spec, maps: maps) }
            #expect(failure?.message.contains(wanted) == true, "\(failure?.message ?? "")")
        }
    }
}
