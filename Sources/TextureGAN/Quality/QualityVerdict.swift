/// What an image's figures come to, in words: good, or what is wrong with it and what to try.
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

    /// Figures that were not measured are left out of account.
    public init(_ figures: QualityFigures) {
        var faults: [(fault: Fault, excess: Float)] = []
        for figure in QualityFigure.allCases {
            guard let value = figures[figure] else { continue }
            let excess: Float =
                switch figure {
                case .coverage: (1 - value) / (1 - Self.limit(figure))
                // 1 is right; 1 / limit is as wrong as the limit.
                case .scale: max(value, 1 / max(value, 0.1)) / Self.limit(figure)
                default: value / Self.limit(figure)
                }
            if excess > 1 { faults.append((Fault(figure: figure, text: Self.text(figure, value)), excess)) }
        }
        let ordered = faults.sorted { a, b in
            let (isScale, other) = (a.fault.figure == .scale, b.fault.figure == .scale)
            return isScale == other ? a.excess > b.excess : isScale
        }
        self.faults = ordered.map(\.fault)
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
