import Imaging
import NNCore

/// An exemplar as the measure of its expansions: its own statistics, computed once.
///
/// The figures are functions of the two images (and of the feature weights) alone: random directions and positions come
/// from fixed streams, and any number of threads gives the same bits.
public struct QualityReference: Sendable {
    private let gram: GramDistance?
    private let patches: PatchDistance?
    private let colour: ColourDistance
    private let checkerboard: CheckerboardEnergy?
    private let scale: ScaleRatio?
    private let copying: Copying?
    private let coverage: Coverage?

    /// - Parameter features: nil leaves out the Gram distance.
    public init(_ exemplar: Image, features: VGGFeatures?, in workspace: Workspace) {
        let arena = workspace.arena
        let start = arena.mark
        defer { arena.release(to: start) }
        let opponent = OpponentColours.tensor(of: exemplar, in: workspace)
        let windows = WindowDescriptors(exemplar, in: workspace)
        gram = features.flatMap { GramDistance(exemplar, features: $0, in: workspace) }
        patches = PatchDistance(opponent, in: workspace)
        colour = ColourDistance(exemplar, in: workspace)
        checkerboard = CheckerboardEnergy(exemplar, in: workspace)
        scale = ScaleRatio(opponent, in: workspace)
        copying = Copying(windows, in: workspace)
        coverage = Coverage(windows, in: workspace)
    }

    /// Measures an image of any size. Figures that need larger images than these are absent.
    public func measure(_ image: Image, in workspace: Workspace) -> QualityFigures {
        let arena = workspace.arena
        let start = arena.mark
        defer { arena.release(to: start) }
        let opponent = OpponentColours.tensor(of: image, in: workspace)
        let windows = WindowDescriptors(image, in: workspace)
        var figures = QualityFigures()
        figures[.gram] = gram?.value(image, in: workspace)
        figures[.patches] = patches?.value(opponent, in: workspace)
        figures[.colour] = colour.value(image, in: workspace)
        figures[.checkerboard] = checkerboard?.value(image, in: workspace)
        figures[.scale] = scale?.value(opponent, in: workspace)
        figures[.copying] = copying?.value(windows, in: workspace)
        figures[.coverage] = coverage?.value(windows, in: workspace)
        return figures
    }
}

/// What the random streams of the figures are for. Their seed is no recipe's: the same images have the same figures
/// whatever trained them.
enum QualityStream: UInt32 {
    case patchPositions = 1, patchDirections, colourBases, copyPositions, coveragePositions

    var stream: RandomStream { RandomStream(seed: 0x7175_616C_6974_79, purpose: rawValue) }
}
