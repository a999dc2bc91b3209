import Foundation

/// The verdict on an image's figures, in words and as a number: good, or its faults and what to try.
///
/// The limits separate the good controls of docs/quality.md (true continuations of the examples, and pieces of them
/// that no training saw) from the bad ones.
public struct QualityVerdict: Sendable, Equatable, CustomStringConvertible {
    public struct Fault: Sendable, Equatable {
        public let figure: QualityFigure
        /// The fault, and what to try, unless another fault says that, too: an earlier one in the same words, or any in more.
        public let text: String
    }

    /// The fault furthest beyond its limit comes first, except that a wrong scale precedes the others, which follow
    /// from it.
    public let faults: [Fault]

    /// Ranks images of one exemplar: lower is better. The whole part counts the faults; the fraction is d / (1 + d),
    /// where d is the mean of the figures' deviations. Nil without any figure.
    public let score: Float?

    /// Whether patches and structure were measured, without which an image is not known to be good.
    private let isConclusive: Bool

    /// "good", the faults in a line, or that the image is too small to tell.
    public var description: String {
        if !faults.isEmpty { return faults.map(\.text).joined(separator: "; ") }
        return isConclusive ? "good" : "too small to judge"
    }

    /// Takes a ``description`` apart: the faults, or what it says instead of them, and what to try.
    public static func parts(of description: String) -> (faults: [String], advice: [String]) {
        let texts = description.components(separatedBy: "; ").map { $0.components(separatedBy: ": ") }
        return (texts.map { $0[0] }, texts.flatMap { $0.dropFirst() })
    }

    /// Each advice once, and none that is the beginning of a longer one: "train longer" beside "train longer or with
    /// another seed".
    public static func distinct(_ advice: [String]) -> [String] {
        var kept: [String] = []
        for text in advice where !kept.contains(text) && !advice.contains(where: { $0 != text && $0.hasPrefix(text) }) {
            kept.append(text)
        }
        return kept
    }

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

    /// A figure's distance from the exemplar's own value: 0 is equal, 1 is at the limit.
    static func deviation(_ figure: QualityFigure, _ value: Float) -> Float {
        switch figure {
        case .coverage: (1 - value) / (1 - limit(figure))
        // 1 is right; 1 / limit is as wrong as the limit.
        case .scale: abs(log(max(value, 0.1))) / log(limit(figure))
        // Outermost pixels more similar to the inside than the exemplar's are no fault.
        case .border: max(0, value - 1) / (limit(figure) - 1)
        default: value / limit(figure)
        }
    }

    /// Absent figures do not count.
    public init(_ figures: QualityFigures) {
        let deviations = QualityFigure.allCases.compactMap { figure in
            figures[figure].map { (figure: figure, value: $0, deviation: Self.deviation(figure, $0)) }
        }
        let beyond = deviations.filter { $0.deviation > 1 }.sorted { a, b in
            let (isScale, other) = (a.figure == .scale, b.figure == .scale)
            return isScale == other ? a.deviation > b.deviation : isScale
        }
        isConclusive = figures[.patches] != nil && figures[.structure] != nil
        let words = beyond.map { Self.words($0.figure, $0.value) }
        var unsaid = Set(Self.distinct(words.compactMap(\.advice)))
        faults = zip(beyond, words).map { beyond, words in
            let advice = words.advice.flatMap { unsaid.remove($0) }
            return Fault(figure: beyond.figure, text: words.fault + (advice.map { ": \($0)" } ?? ""))
        }
        let mean = deviations.map(\.deviation).reduce(0, +) / Float(max(deviations.count, 1))
        score = deviations.isEmpty ? nil : Float(beyond.count) + mean / (1 + mean)
    }

    /// Comparable scores: a figure that one of the images lacks counts for none of them.
    /// - Returns: nil for an image without any figure, which excludes no figure from the others.
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

    /// A fault, and what to try.
    private static func words(_ figure: QualityFigure, _ value: Float) -> (fault: String, advice: String?) {
        switch figure {
        case .gram: ("textures differ from the exemplar's", "train longer")
        case .patches: ("details differ from the exemplar's", "train longer")
        case .colour: ("colours differ from the exemplar's", "train longer")
        case .checkerboard: ("a checkerboard lies over the picture", "train longer")
        case .scale where value > 1: ("detail is enlarged or blurred, not new", "train longer or with a larger k")
        case .scale: ("detail is finer than the exemplar's", "train longer")
        case .copying: ("pieces are copied from the exemplar, so this is no new texture", nil)
        case .coverage: ("parts of the exemplar are missing", "train longer or with another seed")
        case .structure:
            (
                "light, colour, size or direction of the detail are not where the exemplar has them",
                "train longer or with a larger k, unless the picture has another layout on purpose"
            )
        case .border: ("a frame runs along the border", "crop a few pixels, unless the picture tiles")
        case .connection: ("lines break or join where the exemplar's do not", "train longer or with another seed")
        }
    }
}
