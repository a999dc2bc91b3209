import ArgumentParser
import Foundation
import Imaging
import NNCore
import Protocol
import TextureGAN

struct EvaluateCommand: ParsableCommand, PrintsOnly {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Measures how close an image comes to an exemplar's texture.",
        discussion: """
            Prints the figures that training reports beside each snapshot, for any image, however it was made:

              texloom evaluate photo.jpg double.png
              texloom evaluate photo.jpg out/photo_result/img/*.png
              texloom evaluate photo.jpg photo.jpg

            Several images get a column each. The last example measures the exemplar itself.

            Read them together: a good expansion is near in gram, patches and colour (0), shows no checkerboard (0), is \
            texture at the exemplar's scale (1), copies little (0), covers all (1), has everything where the exemplar \
            has it (structure, 0), no frame (border, 1) and lines that close (connection, 0). Tiles of the exemplar are \
            near in everything and copied; a bicubic enlargement has scale 2. The verdict says in words what is wrong \
            and what to try. docs/quality.md has formulas and limits.

            seam_x and seam_y concern images that tile: up to 1, left and right (top and bottom) join without a trace. \
            Images that were not made to tile usually read above 1.5 in at least one direction. No verdict depends on it.
            """)

    @Argument(help: "The exemplar: PNG or JPEG.", completion: .file())
    var exemplar: String

    @Argument(help: ArgumentHelp("Images to measure, of any size.", valueName: "image"), completion: .file())
    var images: [String]

    @Option(
        help: ArgumentHelp(
            "VGG for the Gram distance: vgg16 or vgg19, or off. Default: vgg16 if it is installed.", valueName: "name"))
    var style: String?

    @Option(
        help: ArgumentHelp(
            "Pixel values that VGG gets: raw, caffe or torchvision. Default: those that its weights were trained on.",
            valueName: "name"))
    var styleInput: String?

    @Option(
        help: """
            Threads. Default: TEXLOOM_THREADS, or one for each processor that may be used. The figures do not depend on \
            it.
            """)
    var threads: Int?

    @Flag(help: "Print JSON: an array with a figure's value or null, the verdict and the score, for each image.")
    var json = false

    func validate() throws {
        try requireThreads(threads)
        guard !images.isEmpty else { throw ValidationError("expected an image to measure after the exemplar") }
        if let style, style != "off", FeatureNetwork(rawValue: style) == nil {
            throw ValidationError("--style \(style): expected vgg16, vgg19 or off")
        }
        if let styleInput, FeatureInput(rawValue: styleInput) == nil {
            throw ValidationError("--style-input \(styleInput): expected raw, caffe or torchvision")
        }
    }

    func run() throws {
        let source = try loadImage(exemplar) { complain("\(exemplar): \($0)") }
        // What is no picture, or a damaged one, is refused before the work. One at a time: all of them may not fit the
        // memory.
        for path in images { _ = try loadImage(path) { _ in } }
        let (features, reason) = try loadFeatures()
        let workspace = try Workspace(threads: chosenThreads(threads))
        let reference = QualityReference(source, features: features, in: workspace)
        var (figures, seams): ([QualityFigures], [Seam]) = ([], [])
        for path in images {
            let picture = try loadImage(path) { complain("\(path): \($0)") }
            figures.append(reference.measure(picture, in: workspace))
            seams.append(Seam(picture))
        }
        if json {
            let scores = QualityVerdict.scores(of: figures)
            return try sayJSON(
                images.indices.map {
                    Measurement(image: images[$0], figures: figures[$0], score: scores[$0], seam: seams[$0])
                })
        }
        print(figures, seams, reason)
    }

    /// The features, or why there are none. A network that was named must be installed.
    private func loadFeatures() throws -> (VGGFeatures?, reason: String?) {
        if style == "off" { return (nil, "--style off") }
        let network = style.flatMap(FeatureNetwork.init) ?? .vgg16
        let weights: FeatureWeights
        do {
            weights = try FeatureWeights.installed(network)
        } catch {
            if style != nil { throw error }
            return (nil, "the feature weights vgg16 are not installed; scripts/setup installs them")
        }
        return (try VGGFeatures(network, taps: 3, input: input(of: network), weights: weights), nil)
    }

    func input(of network: FeatureNetwork) -> FeatureInput {
        styleInput.flatMap(FeatureInput.init) ?? (network == .vgg16 ? .caffe : .torchvision)
    }

    private func print(_ figures: [QualityFigures], _ seams: [Seam], _ reason: String?) {
        if images.count > 1 {
            for (index, image) in images.enumerated() { say("\(index + 1)  \(FileName.readable(image).printable)") }
            say()
        }
        let header = images.count > 1 ? images.indices.map { Self.cell(String($0 + 1)) }.joined() : nil
        if let header { say(Self.label("") + header) }
        for figure in QualityFigure.allCases {
            let values = figures.map { Self.cell($0[figure].map { String(format: "%.3f", $0) } ?? "-") }.joined()
            say("\(Self.label(figure.shortName))\(values)  \(figure.explanation)")
        }
        for (name, side, values) in [
            ("seam_x", "left and right", seams.map(\.x)), ("seam_y", "top and bottom", seams.map(\.y)),
        ] {
            let cells = values.map { Self.cell($0.map { String(format: "%.3f", $0) } ?? "-") }.joined()
            say("\(Self.label(name))\(cells)  tiles: \(side) join unseen up to 1")
        }
        for (index, figure) in figures.enumerated() {
            let verdict = QualityVerdict(figure)
            let label = Self.label("verdict") + (images.count > 1 ? " \(index + 1)  " : " ")
            if verdict.faults.isEmpty { say(label + "\(verdict)") }
            for (number, fault) in verdict.faults.enumerated() {
                say((number == 0 ? label : String(repeating: " ", count: label.count)) + fault.text)
            }
        }
        let scores = QualityVerdict.scores(of: figures)
            .map { Self.cell($0.map { String(format: "%.3f", $0) } ?? "-") }
        say("\(Self.label("score"))\(scores.joined())  one number to compare by: lower is better")
        if let reason { say("- gram was not measured: \(reason)") }
        let isSmall = figures.contains { $0.measured.count < QualityFigure.allCases.count - (reason == nil ? 0 : 1) }
        if isSmall { say("- the other missing figures need larger images (docs/quality.md)") }
        if seams.contains(where: \.isTile) {
            say(
                "- an image that tiles has given up the exemplar's large structure and light, so structure and colour say "
                    + "little about the training; evaluate its plain double for that")
        }
    }

    private static func label(_ text: String) -> String { text.padding(toLength: 13, withPad: " ", startingAt: 0) }
    private static func cell(_ text: String) -> String {
        String(repeating: " ", count: max(1, 8 - text.count)) + text
    }

    /// An image's figures as JSON, by the names of the metrics' columns.
    private struct Measurement: Encodable {
        let image: String
        let figures: QualityFigures
        /// Comparable with those of the other images.
        let score: Float?
        let seam: Seam

        private struct Key: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(FileName.readable(image), forKey: Key(stringValue: "image"))
            for figure in QualityFigure.allCases {
                try container.encode(figures[figure], forKey: Key(stringValue: figure.rawValue))
            }
            try container.encode(seam.x, forKey: Key(stringValue: "seam_x"))
            try container.encode(seam.y, forKey: Key(stringValue: "seam_y"))
            try container.encode(QualityVerdict(figures).description, forKey: Key(stringValue: "verdict"))
            try container.encode(score, forKey: Key(stringValue: "score"))
        }
    }
}

extension QualityFigure {
    /// The column's name without the common prefix.
    var shortName: String { QualityColumn.shortName(rawValue) }
}

extension Seam {
    /// Whether the image joins itself unseen on both axes.
    fileprivate var isTile: Bool { (x ?? .infinity) <= 1 && (y ?? .infinity) <= 1 }
}
