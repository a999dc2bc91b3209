import Foundation
import Imaging
import NNCore
import Testing

@testable import TextureGAN

@Suite struct QualityTests {
    private let workspace = Workspace(threads: 2, arena: Arena(reservedBytes: 4 << 30))

    private func features() throws -> VGGFeatures {
        try VGGFeatures(.vgg16, taps: 3, input: .caffe, weights: TinyRun.features)
    }

    private func reference(_ exemplar: Image) throws -> QualityReference {
        QualityReference(exemplar, features: try features(), in: workspace)
    }

    /// The figures. None may be absent.
    private func measure(_ image: Image, against reference: QualityReference) throws -> [QualityFigure: Float] {
        let figures = reference.measure(image, in: workspace).measured
        try #require(figures.count == QualityFigure.allCases.count)
        return figures
    }

    @Test(arguments: ["pebbles", "drying-mud", "lamp-bricks", "flowing-hair"])
    func anExemplarIsItsOwnBestMatchAndOnlyACopy(_ name: String) throws {
        let exemplar = try TextureControls.example(name)
        let figures = try measure(exemplar, against: reference(exemplar))
        let expected: [QualityFigure: Float] = [
            .gram: 0, .patches: 0, .colour: 0, .checkerboard: 0, .scale: 1, .copying: 1, .coverage: 1, .structure: 0,
            .connection: 0,
        ]
        // Other borders are measured against the exemplar's own border, which may be livelier than the inside.
        #expect(figures.filter { $0.key != .border } == expected && figures[.border]! <= 1)
    }

    @Test(arguments: ["pebbles", "drying-mud", "lamp-bricks", "flowing-hair", "scales", "tree-rings"])
    func controlsOfTheExamplesRankRight(_ name: String) throws {
        let exemplar = try TextureControls.example(name)
        let reference = try reference(exemplar)
        let tiled = TextureControls.tiled(exemplar)
        let tile = try measure(tiled, against: reference)
        let shuffle = try measure(TextureControls.shuffled(tiled), against: reference)
        let blur = try measure(TextureControls.blurred(tiled), against: reference)
        let enlargement = try measure(TextureControls.enlarged(exemplar), against: reference)
        let corner = try measure(
            TextureControls.tiled(
                TextureControls.tiled(
                    exemplar.cropped(x: 0, y: 0, width: exemplar.width / 2, height: exemplar.height / 2))),
            against: reference)

        func ascends(
            _ figure: QualityFigure, by factor: Float = 1, _ order: [QualityFigure: Float]...,
            sourceLocation: SourceLocation = #_sourceLocation
        ) {
            let values = order.map { $0[figure]! }
            for (low, high) in zip(values, values.dropFirst()) {
                #expect(low * factor < high, "\(figure.rawValue): \(values)", sourceLocation: sourceLocation)
            }
        }
        // Seams are a small part of a picture. A blur and an enlargement lose its detail everywhere.
        ascends(.patches, tile, shuffle)
        ascends(.patches, by: 2, shuffle, blur)
        ascends(.patches, by: 2, shuffle, enlargement)
        ascends(.patches, by: 1.5, shuffle, corner)
        // The tests' few random filters hardly see a blur of hair, which is soft already.
        if name != "flowing-hair" {
            ascends(.gram, by: 1.5, tile, blur)
            ascends(.gram, by: 1.5, tile, enlargement)
        }
        ascends(.colour, by: 3, tile, corner)
        // Tiles are copies except at their seams, and shuffling adds seams. An enlargement copies no window.
        ascends(.copying, by: 1.1, shuffle, tile)
        ascends(.copying, by: 8, enlargement, shuffle)
        #expect(tile[.copying]! > 0.8 && enlargement[.copying]! < 0.05)
        // A corner does not show everything, and an enlargement shows it at another scale.
        ascends(.coverage, by: 1.1, corner, tile)
        ascends(.coverage, enlargement, tile)
        #expect(tile[.coverage]! > 0.93)
        #expect(abs(tile[.scale]! - 1) < 0.15 && abs(shuffle[.scale]! - 1) < 0.15, "\(tile) \(shuffle)")
        #expect(abs(enlargement[.scale]! - 2) < 0.2)
    }

    @Test func anUnseenWindowOfTheSameFormulaIsTheBestExpansion() throws {
        let exemplar = TextureControls.pavement(x: 0, y: 0, width: 240, height: 200)
        let reference = try reference(exemplar)
        let unseen = try measure(
            TextureControls.pavement(x: 5000, y: 700, width: 480, height: 400), against: reference)
        let tiled = TextureControls.tiled(exemplar)
        let enlargement = try measure(TextureControls.enlarged(exemplar), against: reference)
        let blur = try measure(TextureControls.blurred(tiled), against: reference)
        let tile = try measure(tiled, against: reference)

        #expect(unseen[.copying]! < 0.02 && tile[.copying]! > 0.8)
        #expect(unseen[.coverage]! > 0.9)
        #expect(abs(unseen[.scale]! - 1) < 0.1)
        #expect(unseen[.checkerboard]! < 0.02)
        #expect(unseen[.colour]! < 0.02)
        for worse in [enlargement, blur] {
            #expect(unseen[.patches]! * 3 < worse[.patches]!)
            #expect(unseen[.gram]! * 3 < worse[.gram]!)
            #expect(unseen[.scale]! + 0.4 < worse[.scale]!)
        }
        // Pieces of 6x5 pixels have all the colours, but no stones.
        let crumbs = try measure(TextureControls.shuffled(tiled, perSide: 80), against: reference)
        #expect(unseen[.patches]! * 2 < crumbs[.patches]!, "\(unseen) \(crumbs)")
        #expect(crumbs[.coverage]! + 0.1 < unseen[.coverage]!, "\(unseen) \(crumbs)")
        #expect(crumbs[.colour]! < 0.001)
    }

    @Test(arguments: ["pebbles", "drying-mud", "lamp-bricks", "flowing-hair", "scales", "tree-rings"])
    func trueContinuationsAreGoodAndWhatTheyLoseIsFound(_ name: String) throws {
        let reference = try reference(TextureControls.example(name))
        let continuation = try TextureControls.continuation(name)
        func figures(_ image: Image) -> QualityFigures { reference.measure(image, in: workspace) }
        let good = figures(continuation)
        #expect(QualityVerdict(good).description == "good")
        #expect(good[.structure]! < 0.35 && good[.border]! < 1 && good[.connection]! < 0.25, "\(good.measured)")

        // Shuffled: all of the texture, none of the structure.
        let shuffle = figures(TextureControls.shuffled(continuation))
        #expect(shuffle[.structure]! > 0.45 && shuffle[.patches]! < 0.25, "\(shuffle.measured)")
        #expect(QualityVerdict(shuffle).faults.contains { $0.figure == .structure })
        // If light and colours hardly vary across the exemplar, there is nothing to lose.
        if name != "pebbles" {
            let flat = figures(TextureControls.flattened(continuation))
            #expect(flat[.structure]! > 0.36 && flat[.structure]! > good[.structure]! + 0.1, "\(flat.measured)")
        }
        let interrupted = figures(TextureControls.interrupted(continuation))
        #expect(interrupted[.connection]! > 1.5 * good[.connection]!, "\(interrupted.measured)")
        if ["tree-rings", "drying-mud", "scales"].contains(name) {
            #expect(QualityVerdict(interrupted).faults.contains { $0.figure == .connection })
        }
        let framed = figures(TextureControls.framed(continuation))
        #expect(framed[.border]! > 1.25, "\(framed.measured)")
        let enlargement = QualityVerdict(figures(TextureControls.enlarged(try TextureControls.example(name))))
        #expect(enlargement.faults.first?.figure == .scale, "\(enlargement)")
        // A frame hardly changes the other figures.
        #expect(framed[.structure]! < 0.4 && framed[.connection]! < 0.25, "\(framed.measured)")
    }

    /// Columns of two black and two white pixels: at a step of four, samples would see the black ones only.
    @Test func coloursOfLargePicturesComeFromAllColumns() {
        func columns(_ side: Int) -> Image {
            let row = (0..<side).flatMap { x in [UInt8](repeating: x % 4 < 2 ? 0 : 255, count: 3) }
            return Image(width: side, height: side, pixels: (0..<side).flatMap { _ in row })
        }
        let distance = ColourDistance(columns(512), in: workspace).value(columns(1024), in: workspace)
        #expect(distance < 0.01)
    }

    /// Two draws of one noise: smooth values between points `spacing` pixels apart.
    @Test func newTextureIsNoCopyOfALargeExemplar() throws {
        func noise(side: Int, spacing: Int, seed: UInt64) -> Image {
            var stream = RandomStream(seed: seed, purpose: 0)
            let points = side / spacing + 2
            let values = (0..<points * points).map { _ in stream.normal() }
            func blend(_ a: Float, _ b: Float, _ share: Float) -> Float {
                a + (b - a) * share * share * (3 - 2 * share)
            }
            var pixels: [UInt8] = []
            pixels.reserveCapacity(3 * side * side)
            for y in 0..<side {
                for x in 0..<side {
                    let (row, column) = (y / spacing * points, x / spacing)
                    let (down, right) = (Float(y % spacing) / Float(spacing), Float(x % spacing) / Float(spacing))
                    let value = blend(
                        blend(values[row + column], values[row + column + 1], right),
                        blend(values[row + points + column], values[row + points + column + 1], right), down)
                    pixels += [UInt8](repeating: UInt8(max(0, min(255, 128 + 40 * value))), count: 3)
                }
            }
            return Image(width: side, height: side, pixels: pixels)
        }
        let exemplar = noise(side: 1600, spacing: 120, seed: 1)
        let reference = QualityReference(exemplar, features: nil, in: workspace)
        let other = try #require(reference.measure(noise(side: 1600, spacing: 120, seed: 2), in: workspace)[.copying])
        let own = try #require(reference.measure(exemplar, in: workspace)[.copying])
        #expect(other < 0.05 && own > 0.9, "\(other), \(own)")
    }

    /// Scales from blue to gold, all turned olive.
    @Test func lostColoursAreFound() throws {
        let reference = try reference(TextureControls.example("scales"))
        let continuation = try TextureControls.continuation("scales")
        let figures = reference.measure(TextureControls.flattened(continuation), in: workspace)
        let found = Set(QualityVerdict(figures).faults.map(\.figure))
        #expect(found.isSuperset(of: [.colour, .structure]), "\(figures.measured)")
    }

    @Test func theVerdictNamesTheWorstFaultFirst() {
        var figures = QualityFigures()
        #expect(QualityVerdict(figures).description == "too small to judge")
        (figures[.patches], figures[.colour], figures[.scale], figures[.coverage]) = (0.1, 0.01, 1.05, 0.93)
        (figures[.structure], figures[.border], figures[.connection]) = (0.2, 0.9, 0.2)
        #expect(QualityVerdict(figures).description == "good")
        figures[.scale] = 2
        #expect(
            QualityVerdict(figures).description
                == "detail is enlarged or blurred, not new: train longer or with a larger k")
        figures[.scale] = 0.5
        figures[.coverage] = 0.7
        #expect(QualityVerdict(figures).faults.map(\.figure) == [.scale, .coverage])
        figures[.structure] = 1.6
        #expect(QualityVerdict(figures).faults.map(\.figure) == [.scale, .structure, .coverage])
        figures[.scale] = 1
        #expect(QualityVerdict(figures).faults.map(\.figure) == [.structure, .coverage])
        // Advice is said once.
        (figures[.structure], figures[.coverage]) = (0.2, 0.93)
        (figures[.gram], figures[.patches], figures[.checkerboard]) = (0.5, 0.75, 0.08)
        #expect(
            QualityVerdict(figures).description
                == "a checkerboard lies over the picture: train longer; details differ from the exemplar's; textures differ "
                + "from the exemplar's")
        // What begins a longer advice says nothing beside it.
        figures[.connection] = 0.5
        let description = QualityVerdict(figures).description
        #expect(
            description
                == "a checkerboard lies over the picture; details differ from the exemplar's; textures differ from the "
                + "exemplar's; lines break or join where the exemplar's do not: train longer or with another seed")
        let parts = QualityVerdict.parts(of: description)
        #expect(parts.faults.count == 4 && parts.faults[0] == "a checkerboard lies over the picture")
        #expect(parts.advice == ["train longer or with another seed"])
        #expect(QualityVerdict.parts(of: "good").faults == ["good"] && QualityVerdict.parts(of: "good").advice == [])
    }

    @Test func aScoreCountsFaultsFirstAndThenTheDistanceFromTheExemplar() throws {
        func score(_ values: [QualityFigure: Float]) -> Float? {
            QualityVerdict(QualityFigures(columns: Dictionary(values.map { ($0.rawValue, $1) }) { $1 })).score
        }
        #expect(score([:]) == nil && score([.patches: 0, .scale: 1, .coverage: 1, .border: 0.8]) == 0)
        // Every figure at its limit has the same distance, 1, which adds a half to the number of faults.
        for figure in QualityFigure.allCases {
            let atLimit = try #require(score([figure: QualityVerdict.limit(figure)]))
            #expect(abs(atLimit.truncatingRemainder(dividingBy: 1) - 0.5) < 1e-5, "\(figure): \(atLimit)")
        }
        #expect(abs(try #require(score([.scale: 1.1])) - #require(score([.scale: 1 / 1.1]))) < 1e-6)
        // One fault, however small, is worse than many figures near their limits.
        let near = try #require(score([.patches: 0.24, .colour: 0.0149, .coverage: 0.76]))
        let beyond = try #require(score([.patches: 0, .colour: 0.0151, .coverage: 1]))
        let gross = try #require(score([.patches: 5, .colour: 0.3, .coverage: 1]))
        #expect(near < 1 && (1..<2).contains(beyond) && (2..<3).contains(gross))
        let better = try #require(score([.patches: 0.1, .structure: 0.2]))
        #expect(try better < #require(score([.patches: 0.11, .structure: 0.2])))
    }

    @Test func scoresOfSeveralImagesAreOfTheFiguresThatAllOfThemHave() throws {
        func figures(_ values: [QualityFigure: Float]) -> QualityFigures {
            var figures = QualityFigures()
            for (figure, value) in values { figures[figure] = value }
            return figures
        }
        let old = figures([.patches: 0.1])
        let new = figures([.patches: 0.09, .structure: 0.5, .connection: 0.5])
        let scores = QualityVerdict.scores(of: [old, new, QualityFigures()])
        #expect(try #require(scores[1]) < #require(scores[0]), "by the patches alone: \(scores)")
        #expect(scores[0] == QualityVerdict(old).score && scores[2] == nil)
        #expect(try #require(QualityVerdict(new).score) > 2)
        #expect(QualityVerdict.scores(of: []) == [])
        #expect(QualityVerdict.scores(of: [old, figures([.colour: 0.1])]) == [nil, nil], "nothing in common")
    }

    @Test func orderStatisticsAreThoseOfTheSortedValues() {
        var stream = RandomStream(seed: 5, purpose: 80)
        let values = (0..<1000).map { _ in Float(stream.integer(through: 60)) * 0.1 - 3 } + [-0.0, .infinity, 1e-30]
        let ranks = [0, 1, 500, 900, values.count - 1]
        let sorted = values.sorted()
        #expect(orderStatistics(values, count: values.count, ranks: ranks) == ranks.map { sorted[$0] })
    }

    @Test("Patterns on the grid's phases are found", arguments: [2, 4, 8])
    func checkerboards(_ period: Int) throws {
        let exemplar = try TextureControls.example("pebbles")
        let energy = try #require(CheckerboardEnergy(exemplar, in: workspace))
        func value(_ image: Image) throws -> Float { try #require(energy.value(image, in: workspace)) }
        let clean = try value(TextureControls.tiled(exemplar))
        #expect(clean < 0.005)
        let faint = try value(TextureControls.checkered(exemplar, period: period, strength: 3))
        let plain = try value(TextureControls.checkered(exemplar, period: period, strength: 9))
        #expect(0.01 < faint && 5 * faint < plain, "\(faint) \(plain)")
        // The pattern's share of the energy is strength^2 / (strength^2 + detail^2): at most ninefold here.
        #expect(plain < 10 * faint)
        // A pattern that only changes the contrast at some phases keeps the mean, but the measure must find it.
        let mean = exemplar.pixels.reduce(0.0) { $0 + Double($1) } / Double(exemplar.pixels.count)
        let uneven = TextureControls.changed(exemplar) { value, x, y, _ in
            x % period < period / 2 && y % period < period / 2 ? mean + (value - mean) * 0.6 : value
        }
        #expect(try value(uneven) > 0.01)
        // In a texture that has this very pattern, it is no artefact.
        let own = TextureControls.checkered(exemplar, period: period, strength: 9)
        let reference = try #require(CheckerboardEnergy(own, in: workspace))
        #expect(try #require(reference.value(own, in: workspace)) == 0)
    }

    @Test func periodsThatAreNoDoublingsAreLeftAlone() throws {
        let exemplar = try TextureControls.example("pebbles")
        let energy = try #require(CheckerboardEnergy(exemplar, in: workspace))
        let striped = TextureControls.changed(exemplar) { value, x, _, _ in
            value + 12 * sin(2 * .pi * Double(x) / 6)
        }
        let found = try #require(energy.value(striped, in: workspace))
        #expect(found < 0.01)
    }

    @Test func aShiftOfAllColoursIsAsFarAsItIsLong() {
        // Two greys one step apart, and their distance in Oklab by hand.
        let (dark, light) = (ColourDistance.oklab(100, 100, 100), ColourDistance.oklab(140, 140, 140))
        #expect(abs(dark[0] - 0.5032) < 1e-3 && abs(dark[1]) < 1e-4 && abs(dark[2]) < 1e-4)
        func flat(_ red: Double, _ green: Double, _ blue: Double) -> Image {
            TextureControls.drawn(width: 20, height: 10) { _, _ in [red, green, blue] }
        }
        let distance = ColourDistance(flat(100, 100, 100), in: workspace)
        #expect(abs(distance.value(flat(140, 140, 140), in: workspace) - (light[0] - dark[0])) < 2e-3)
        let orange = ColourDistance.oklab(230, 140, 20) - dark
        let length = (orange * orange).sum().squareRoot()
        #expect(abs(distance.value(flat(230, 140, 20), in: workspace) - length) < 2e-3)
    }

    @Test func coloursAreComparedWhereverTheyAre() throws {
        let exemplar = try TextureControls.example("lamp-bricks")
        let distance = ColourDistance(exemplar, in: workspace)
        func value(_ image: Image) -> Float { distance.value(image, in: workspace) }
        #expect(value(TextureControls.shuffled(exemplar)) == 0)
        let tinted = [4.0, 12, 36].map { amount in
            value(TextureControls.changed(exemplar) { $0 + ($3 == 2 ? amount : 0) })
        }
        #expect(0.002 < tinted[0] && 2 * tinted[0] < tinted[1] && 2 * tinted[1] < tinted[2])
    }

    @Test func aFlatImageIsOnePatchDeviationAway() throws {
        let exemplar = try TextureControls.example("drying-mud")
        let distance = try #require(
            PatchDistance(OpponentColours.tensor(of: exemplar, in: workspace), in: workspace))
        let means = (0..<3).map { channel in
            stride(from: channel, to: exemplar.pixels.count, by: 3).reduce(0.0) { $0 + Double(exemplar.pixels[$1]) }
                / Double(exemplar.width * exemplar.height)
        }
        let grey = TextureControls.drawn(width: 400, height: 300) { _, _ in means }
        let found = try #require(distance.value(OpponentColours.tensor(of: grey, in: workspace), in: workspace))
        #expect(abs(found - 1) < 0.01)
    }

    @Test func aChangeOfContrastIsNoChangeOfScale() throws {
        let exemplar = TextureControls.pavement(x: 0, y: 0, width: 240, height: 200)
        let ratio = try #require(ScaleRatio(OpponentColours.tensor(of: exemplar, in: workspace), in: workspace))
        func value(_ image: Image) throws -> Float {
            try #require(ratio.value(OpponentColours.tensor(of: image, in: workspace), in: workspace))
        }
        #expect(abs(try value(TextureControls.changed(exemplar) { value, _, _, _ in 60 + value * 0.5 }) - 1) < 0.03)
        let larger = exemplar.resized(width: 336, height: 280)
        #expect(abs(try value(larger) - 1.4) < 0.1)
    }

    @Test func figuresAreTheSameBitsForAnyNumberOfThreads() throws {
        let exemplar = try TextureControls.example("pebbles")
        let image = TextureControls.checkered(
            TextureControls.shuffled(TextureControls.tiled(exemplar)), period: 4, strength: 5)
        let figures = try [1, 2, 3].map { threads in
            let workspace = Workspace(threads: threads, arena: Arena(reservedBytes: 4 << 30))
            return QualityReference(exemplar, features: try features(), in: workspace).measure(image, in: workspace)
                .values.map(\.bitPattern)
        }
        #expect(figures[0] == figures[1] && figures[0] == figures[2])
        #expect(!figures[0].contains(Float.nan.bitPattern))
    }

    @Test func whatCannotBeMeasuredIsAbsent() throws {
        let exemplar = try TextureControls.example("pebbles")
        let image = TextureControls.tiled(exemplar)
        let all = Set(QualityFigure.allCases)
        let withoutFeatures = QualityReference(exemplar, features: nil, in: workspace).measure(image, in: workspace)
        #expect(Set(withoutFeatures.measured.keys) == all.subtracting([.gram]))
        #expect(withoutFeatures.values[0].isNaN && QualityFigures.columns[0] == "quality_gram")
        // The smallest images get only the figures that they allow.
        func flat(_ width: Int, _ height: Int) -> Image {
            TextureControls.drawn(width: width, height: height) { _, _ in [90, 90, 90] }
        }
        for (width, height) in [(1, 1), (6, 200), (7, 7), (15, 16), (31, 27), (32, 33)] {
            let small = try reference(flat(width, height)).measure(image, in: workspace)
            #expect(small[.colour] != nil && (small[.patches] != nil) == (min(width, height) >= 7))
            let other = try reference(exemplar).measure(flat(width, height), in: workspace)
            #expect(other[.colour] != nil && other[.gram] == nil)
            #expect((other[.copying] != nil) == (width == 32) && (other[.coverage] != nil) == (width == 32))
        }
        // A flat exemplar has no scale to compare with.
        #expect(try reference(flat(100, 100)).measure(image, in: workspace)[.scale] == nil)
    }

    @Test func largeImagesAreMeasuredBySteps() throws {
        let exemplar = TextureControls.tiled(TextureControls.pavement(x: 0, y: 0, width: 300, height: 250))
        let reference = try reference(exemplar)
        let own = try measure(exemplar, against: reference)
        // The exemplar has each window four times, and any of the four makes a copy.
        // Windows between two steps may be nearest to different ones of them.
        #expect(own[.copying]! > 0.98 && own[.scale] == 1 && own[.colour] == 0)
        let unseen = try measure(
            TextureControls.pavement(x: -3000, y: 900, width: 600, height: 500), against: reference)
        #expect(unseen[.copying]! < 0.05 && unseen[.coverage]! > 0.85)
    }
}
