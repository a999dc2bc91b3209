import Imaging
import NNCore

@testable import TextureGAN

/// Expansions that tests compare with.
extension Expansion {
    /// Expands with all the memory that it takes.
    static func expand<Sample>(
        _ image: Raster<Sample>, with generator: Generator, statistics: BatchNorm.Statistics = .image,
        in workspace: Workspace
    ) -> Raster<Sample> {
        withoutFailure {
            try expand(image, with: generator, statistics: statistics, memoryLimit: .max, in: workspace)
        }
    }

    /// Expands the whole image at once, without a frame.
    static func whole<Sample>(
        _ image: Raster<Sample>, with generator: Generator, statistics: BatchNorm.Statistics, in workspace: Workspace
    ) -> Raster<Sample> {
        unframed(image, .whole, with: generator, statistics: statistics, in: workspace)
    }

    /// Expands in given pieces, without a frame.
    static func inPieces<Sample>(
        _ image: Raster<Sample>, with generator: Generator, statistics: BatchNorm.Statistics, pieces: Pieces,
        in workspace: Workspace, progress: (Double) -> Void = { _ in }
    ) -> Raster<Sample> {
        unframed(image, .pieces(pieces), with: generator, statistics: statistics, in: workspace, progress: progress)
    }

    private static func unframed<Sample>(
        _ image: Raster<Sample>, _ division: Division, with generator: Generator, statistics: BatchNorm.Statistics,
        in workspace: Workspace, progress: (Double) -> Void = { _ in }
    ) -> Raster<Sample> {
        let window = OutputWindow(of: image)
        var pixels: [Sample] = []
        withoutFailure {
            try run(
                division, image, window, with: generator, statistics: statistics, in: workspace, progress: progress
            ) { pixels += $0 }
        }
        return Raster(width: window.width, height: window.height, channels: image.channels, pixels: pixels)
    }
}
