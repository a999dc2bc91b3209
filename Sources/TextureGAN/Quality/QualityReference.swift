import Imaging
import NNCore

/// An exemplar as the reference of its expansions: its own statistics, computed once.
///
/// The figures depend only on the two images and the feature weights: random directions and positions come from fixed
/// streams, and any number of threads gives the same bits.
public struct QualityReference: Sendable {
    private let gram: GramDistance?
    private let patches: PatchDistance?
    private let colour: ColourDistance
    private let checkerboard: CheckerboardEnergy?
    private let scale: ScaleRatio?
    private let copying: Copying?
    private let coverage: Coverage?
    private let structure: LocalStructure?
    private let border: BorderFrame?
    private let connection: LineConnection?

    /// - Parameter features: nil leaves out the Gram distance.
    public init(_ exemplar: Image, features: VGGFeatures?, in workspace: Workspace) {
        gram = features.flatMap { GramDistance(exemplar, features: $0, in: workspace) }
        colour = ColourDistance(exemplar, in: workspace)
        checkerboard = CheckerboardEnergy(exemplar, in: workspace)
        (patches, scale) = workspace.arena.scoped {
            let opponent = OpponentColours.tensor(of: exemplar, in: workspace)
            return (PatchDistance(opponent, in: workspace), ScaleRatio(opponent, in: workspace))
        }
        (copying, coverage) = workspace.arena.scoped {
            let windows = WindowDescriptors(exemplar, in: workspace)
            return (Copying(windows, in: workspace), Coverage(windows, in: workspace))
        }
        (structure, border, connection) = workspace.arena.scoped {
            let colours = OklabColours.tensor(of: exemplar, in: workspace)
            let lightness = OklabColours.lightness(of: colours, in: workspace)
            return (
                LocalStructure(colours, lightness: lightness, in: workspace), BorderFrame(colours),
                LineConnection(lightness: lightness, in: workspace)
            )
        }
    }

    /// Measures an image of any size. Figures that need larger images are absent.
    public func measure(_ image: Image, in workspace: Workspace) -> QualityFigures {
        var figures = QualityFigures()
        figures[.gram] = gram?.value(image, in: workspace)
        figures[.colour] = colour.value(image, in: workspace)
        figures[.checkerboard] = checkerboard?.value(image, in: workspace)
        // One after another, so that memory holds one form of the image at a time.
        workspace.arena.scoped {
            let opponent = OpponentColours.tensor(of: image, in: workspace)
            figures[.patches] = patches?.value(opponent, in: workspace)
            figures[.scale] = scale?.value(opponent, in: workspace)
        }
        workspace.arena.scoped {
            let windows = WindowDescriptors(image, in: workspace)
            figures[.copying] = copying?.value(windows, in: workspace)
            figures[.coverage] = coverage?.value(windows, in: workspace)
        }
        workspace.arena.scoped {
            let colours = OklabColours.tensor(of: image, in: workspace)
            let lightness = OklabColours.lightness(of: colours, in: workspace)
            figures[.structure] = structure?.value(colours, lightness: lightness, in: workspace)
            figures[.border] = border?.value(colours)
            figures[.connection] = connection?.value(lightness: lightness, in: workspace)
        }
        return figures
    }
}

/// The purposes of the figures' random streams. Their seed is fixed, so the same images have the same figures under
/// every recipe.
enum QualityStream: UInt32 {
    case patchPositions = 1, patchDirections, colourBases, copyPositions, coveragePositions

    var stream: RandomStream { RandomStream(seed: 0x7175_616C_6974_79, purpose: rawValue) }
}
