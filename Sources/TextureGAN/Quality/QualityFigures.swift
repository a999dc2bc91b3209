/// A measure of how close an expanded image is to its exemplar's texture. The raw value is its column's name.
///
/// Formulas, ranges and limits: docs/quality.md.
public enum QualityFigure: String, Sendable, CaseIterable {
    case gram = "quality_gram"
    case patches = "quality_patches"
    case colour = "quality_colour"
    case checkerboard = "quality_checkerboard"
    case scale = "quality_scale"
    case copying = "quality_copying"
    case coverage = "quality_coverage"
    case structure = "quality_structure"
    case border = "quality_border"
    case connection = "quality_connection"

    /// The figure's meaning in one line.
    public var explanation: String {
        switch self {
        case .gram: "distance of VGG's Gram matrices, 0 to 1: 0 is the exemplar's own"
        case .patches: "sliced Wasserstein distance of patches: 0 is the exemplar's own, 1 a flat grey"
        case .colour: "sliced Wasserstein distance of colours in Oklab: 0 is the exemplar's own, above 0.015 it shows"
        case .checkerboard: "energy that follows the pixel grid's phases beyond the exemplar's: 0 is none"
        case .scale: "estimated enlargement: 1 is new texture, 2 the exemplar blown up (or blurred)"
        case .copying: "share of places that were copied from the exemplar as they are: 0 is all new"
        case .coverage: "share of the exemplar's windows that have a counterpart: 0.97 is as good as itself"
        case .structure: "distance of light, colour, size and direction at the same place: 0 is the exemplar's own"
        case .border: "outermost pixels against the inside: 1 is alike, above 1.25 a frame shows"
        case .connection: "octaves by which regions between lines leak or close: 0 is as the exemplar's"
        }
    }
}

/// The figures of an image. A figure that could not be measured is absent.
public struct QualityFigures: Sendable, Equatable {
    public private(set) var measured: [QualityFigure: Float] = [:]

    public init() {}

    /// The figures among named values, by the names of their columns.
    public init(columns: [String: Float]) {
        for figure in QualityFigure.allCases { self[figure] = columns[figure.rawValue] }
    }

    public subscript(figure: QualityFigure) -> Float? {
        get { measured[figure] }
        set { measured[figure] = newValue.flatMap { $0.isFinite ? $0 : nil } }
    }

    /// The columns of `values`.
    public static let columns = QualityFigure.allCases.map(\.rawValue)

    /// One value for each column; NaN for an absent figure, as everywhere in metrics.
    public var values: [Float] { QualityFigure.allCases.map { measured[$0] ?? .nan } }
}
