import Foundation
import Imaging
import Protocol
import Testing
import TextureGAN

@testable import texloom

@Suite struct EvaluateTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    /// Speckled stripes.
    private static let moss = Image(
        width: 96, height: 80, pixels: (0..<96 * 80 * 3).map { UInt8(truncatingIfNeeded: $0 * $0 / 7) })

    private func evaluate(_ arguments: [String], weights: String = "none") throws -> TexloomProcess.Result {
        try TexloomProcess.run(
            ["evaluate"] + arguments, folder: scratch.url,
            environment: ["TEXLOOM_WEIGHTS_DIR": scratch.path(weights)])
    }

    private func write(_ image: Image, _ name: String) throws -> String {
        let path = scratch.path(name)
        try image.png().write(to: URL(fileURLWithPath: path))
        return path
    }

    /// Protocol cannot import TextureGAN, so both spell the prefix. They must agree.
    @Test func theTrainersFiguresAreTheQualityColumns() {
        #expect(QualityFigures.columns.allSatisfy(QualityColumn.isQuality))
        #expect(QualityFigures.columns.map(QualityColumn.shortName) == QualityFigure.allCases.map { "\($0)" })
        #expect(!Trainer.columns.contains(where: QualityColumn.isQuality))
    }

    @Test func figuresOfSeveralImagesArePrintedForPeopleAndForScripts() throws {
        let exemplar = try write(Self.moss, "moss.png")
        let large = try write(Self.moss.resized(width: 192, height: 160), "large.png")
        let table = try evaluate([exemplar, exemplar, large])
        #expect(table.status == 0)
        for figure in QualityFigure.allCases { #expect(table.output.contains(figure.explanation)) }
        #expect(table.output.contains("verdict       1  pieces are copied from the exemplar, so this is no new"))
        #expect(table.output.contains("gram was not measured: the feature weights vgg16 are not installed"))

        let result = try evaluate([exemplar, exemplar, large, "--json"])
        let list = try #require(
            JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]])
        #expect(list.count == 2 && list[1]["image"] as? String == large)
        for measurement in list {
            let columns = Set(QualityFigure.allCases.map(\.rawValue))
            #expect(Set(measurement.keys) == columns.union(["image", "verdict", "score", "seam_x", "seam_y"]))
            #expect(measurement["score"] is Double)
            #expect(measurement["quality_gram"] is NSNull)
        }
        #expect(list[0]["quality_patches"] as? Double == 0 && list[0]["quality_scale"] as? Double == 1)
        #expect((list[1]["quality_patches"] as? Double ?? 0) > 0.1)
    }

    /// A picture of which one or two figures are known is not good for that, and its score compares with others' only by
    /// the figures that all have.
    @Test func aTinyPictureIsNotJudged() throws {
        let exemplar = try write(Self.moss, "moss.png")
        // Its pixels in six rows: of the same colours, and too flat for every other figure.
        let tiny = try write(Image(width: 16 * 80, height: 6, pixels: Self.moss.pixels), "tiny.png")
        let table = try evaluate([exemplar, tiny])
        #expect(table.output.contains("too small to judge"), "\(table.output)")
        let result = try evaluate([exemplar, exemplar, tiny, "--json"])
        let list = try #require(JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]])
        let scores = try list.map { try #require($0["score"] as? Double) }
        #expect(list[1]["verdict"] as? String == "too small to judge" && scores == [0, 0], "\(scores)")
    }

    /// OpenBLAS picks kernels by CPU type, and they round differently, so no figure may depend on its results. A tiled
    /// exemplar has four equally near windows for each window, and rounding would choose among them.
    @Test func figuresAreTheSameWhateverKernelsOpenBLASPicks() throws {
        let tile = Self.moss
        let wide = (0..<2 * tile.height).flatMap { y in
            let row = tile.pixels[3 * tile.width * (y % tile.height)..<3 * tile.width * (y % tile.height + 1)]
            return row + row
        }
        let tiled = Image(width: 2 * tile.width, height: 2 * tile.height, pixels: wide)
        let exemplar = try write(tiled, "tiled.png")
        let other = try write(tiled.resized(width: 210, height: 170), "other.png")
        let outputs = try [nil, "Haswell", "Zen", "SkylakeX", "Sandybridge"].map { type in
            // Uses the installed feature weights, if any.
            let result = try TexloomProcess.run(
                ["evaluate", exemplar, exemplar, other, "--json"], folder: scratch.url,
                environment: type.map { ["OPENBLAS_CORETYPE": $0] } ?? [:])
            #expect(result.status == 0, "\(type ?? "unset"): \(result.errors)")
            return result.output
        }
        #expect(outputs[0].contains("quality_copying"))
        for output in outputs.dropFirst() { #expect(output == outputs[0]) }
    }

    @Test func trainingReportsTheFiguresOfItsSnapshots() throws {
        let exemplar = try write(Self.moss, "moss.png")
        let training = try TexloomProcess.run(
            ["train", exemplar, "--out", scratch.path("out"), "--threads", "1"]
                + TinyCluster.recipe(iterations: 120, checkpointEvery: 60), folder: scratch.url)
        try #require(training.status == 0, "\(training.errors)")
        #expect(training.output.contains("style off, so without quality_gram"))
        let folder = try ResultFolder(in: URL(fileURLWithPath: scratch.path("out")), name: "moss")
        let snapshots = try FileManager.default.contentsOfDirectory(atPath: folder.url.path + "/img").sorted()
        let rows = folder.readMetrics().filter { $0.values["quality_patches"] != nil }
        #expect(snapshots == rows.map { String(format: "itr%08d.png", $0.iteration) })
        #expect(rows.count >= 2 && rows.allSatisfy { $0.values["l1"] != nil && $0.values["quality_gram"] == nil })

        let last = folder.url.path + "/img/" + (try #require(snapshots.last))
        let result = try evaluate([exemplar, last, "--json"])
        let found = try #require(JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]])[0]
        let report =
            try JSONSerialization.jsonObject(with: Data(contentsOf: folder.resultJSON)) as? [String: Any]
        let reported = try #require((report?["report"] as? [String: Any])?["quality"] as? [String: Double])
        #expect(reported.count == QualityFigure.allCases.count - 1)
        for (column, value) in reported {
            #expect(abs(value - (found[column] as? Double ?? .nan)) < 1e-6, "\(column)")
            #expect(rows.last?.values[column] == Float(value))
        }
    }

    @Test func aMissingFileAndAnUnknownNetworkAreNamed() throws {
        let exemplar = try write(Self.moss, "moss.png")
        let missing = try evaluate([exemplar, scratch.path("missing.png")])
        #expect(missing.status == 1 && missing.errors.contains("missing.png"))
        let style = try evaluate([exemplar, exemplar, "--style", "vgg11"])
        #expect(style.status == 2 && style.errors.contains("expected vgg16, vgg19 or off"))
        // Weights requested by name must exist.
        let weights = try evaluate([exemplar, exemplar, "--style", "vgg19"])
        #expect(weights.status == 1 && weights.errors.contains("vgg19.safetensors"))
        #expect(try evaluate([exemplar]).status == 2)
    }
}
