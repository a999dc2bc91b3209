import Foundation

/// What an image's figures come to, in words and as a number: good, or what is wrong with it and what to try.
///
/// The limits lie between what the controls of docs/quality.md read that are good (true continuations of the examples,
/// and pieces of them that no training saw) and those that are bad.
public struct QualityVerdict: Sendable, Equatable, CustomStringConvertible {
    public struct Fault: Sendable, Equatable {
        public let figure: QualityFigure
        /// What is wrong, and what to try.
        public let text: String
    }

    /// What is furthest beyond its limit first; before that a wrong scale, of which the others are consequences.
    public let faults: [Fault]

    /// Chooses among images of one exemplar: lower is better. The whole part counts the faults; the fraction is
    /// d / (1 + d), with d the mean of the figures' deviations. Nil if nothing was measured.
    public let score: Float?

    public var isGood: Bool { faults.isEmpty }

    /// "good", or the faults in a line.
    public var description: String { isGood ? "good" : faults.map(\.text).joined(separator: "; ") }

    /// A figure beyond this is a fault. The scale has limits on both sides.
    static func limit(_ figure: QualityFigure) -> Float {
        switch figure {
        case .gram: 0.25
        case .patches: 0.25
        case .colour: 0.015
        case .checkerboard: 0.02
        case .scale: 1.2
        case .copying: 0.3
        case .coverage: 0.75
        case .structure: 0.36
        case .border: 1.25
        case .connection: 0.4
        }
    }

    /// How far a figure is from the exemplar's own: 0 is there, 1 at the limit.
    static func deviation(_ figure: QualityFigure, _ value: Float) -> Float {
        switch figure {
        case .coverage: (1 - value) / (1 - limit(figure))
        // 1 is right; 1 / limit is as wrong as the limit.
        case .scale: abs(log(max(value, 0.1))) / log(limit(figure))
        // Outermost pixels that are more like the inside than the exemplar's are no fault.
        case .border: max(0, value - 1) / (limit(figure) - 1)
        default: value / limit(figure)
        }
    }

    /// Figures that were not measured are left out of account.
    public init(_ figures: QualityFigures) {
        let deviations = QualityFigure.allCases.compactMap { figure in
            figures[figure].map { (figure: figure, value: $0, deviation: Self.deviation(figure, $0)) }
        }
        let beyond = deviations.filter { $0.deviation > 1 }.sorted { a, b in
            let (isScale, other) = (a.figure == .scale, b.figure == .scale)
            return isScale == other ? a.deviation > b.deviation : isScale
        }
        faults = beyond.map { Fault(figure: $0.figure, text: Self.text($0.figure, $0.value)) }
        let mean = deviations.map(\.deviation).reduce(0, +) / Float(max(deviations.count, 1))
        score = deviations.isEmpty ? nil : Float(beyond.count) + mean / (1 + mean)
    }

    /// Scores that can be compared with one another: a figure that one of the images lacks is left out for all of them.
    /// - Returns: nil for an image without any figure, on whose account none is left out.
    public static func scores(of images: [QualityFigures]) -> [Float?] {
        let measured = images.map { Set($0.measured.keys) }.filter { !$0.isEmpty }
        let common = measured.dropFirst().reduce(measured.first ?? []) { $0.intersection($1) }
        return images.map { image in
            guard !image.measured.isEmpty else { return nil }
            var figures = QualityFigures()
            for figure in common { figures[figure] = image[figure] }
            return QualityVerdict(figures).score
        }
    }

    private static func text(_ figure: QualityFigure, _ value: Float) -> String {
        switch figure {
        case .gram: "textures differ from the exemplar's: train longer"
        case .patches: "details differ from the exemplar's: train longer"
        case .colour: "colours differ from the exemplar's: train longer"
        case .checkerboard: "a checkerboard lies over the picture: train longer or double by 'nearest'"
        case .scale:
            value > 1
                ? "detail is enlarged or blurred, not new: train longer or with a larger k"
                : "detail is finer than the exemplar's: train longer"
        case .copying: "pieces are copied from the exemplar: this is no new texture"
        case .coverage: "parts of the exemplar are missing: train longer or with another seed"
        case .structure:
            "light, colour, size or direction of the detail are not where the exemplar has them: train longer or with a "
                + "larger k"
        case .border: "a frame runs along the border: crop a few pixels"
        case .connection: "lines break or join where the exemplar's do not: train longer or with another seed"
        }
    }
}
