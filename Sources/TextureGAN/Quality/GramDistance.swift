import Imaging
import NNCore

/// The distance between the correlations of VGG's features and the exemplar's.
///
/// Windows of at most 128x128, at most three across and three down and evenly spread, pass the network up to its third
/// tap; G is the mean of their Gram matrices at a tap:
///
///     D = mean over taps of |G - G_exemplar| / (|G| + |G_exemplar|),  |.| Frobenius norms
///
/// 0 for equal correlations, 1 for nothing in common. Features depend on the network and the input convention, so
/// figures are comparable only for the same pair.
/// - Source: Gatys et al., "Texture Synthesis Using Convolutional Neural Networks" (2015); the normalisation is ours.
struct GramDistance: Sendable {
    private static let maxSide = 128
    private static let minSide = 16
    private static let maxPerSide = 3
    private static let maxTaps = 3

    private let features: VGGFeatures
    private let side: Int
    private let exemplar: [[Float]]

    /// Nil if the exemplar is too small.
    init?(_ image: Image, features: VGGFeatures, in workspace: Workspace) {
        side = min(Self.maxSide, image.width, image.height)
        guard side >= Self.minSide else { return nil }
        self.features = features
        exemplar = Self.grams(image, side: side, features, in: workspace)
    }

    /// Nil if the image is smaller than a window.
    func value(_ image: Image, in workspace: Workspace) -> Float? {
        guard min(image.width, image.height) >= side else { return nil }
        let own = Self.grams(image, side: side, features, in: workspace)
        var sum = 0.0
        for (a, b) in zip(exemplar, own) {
            var (difference, first, second) = (0.0, 0.0, 0.0)
            for (x, y) in zip(a, b) {
                difference += Double(x - y) * Double(x - y)
                first += Double(x) * Double(x)
                second += Double(y) * Double(y)
            }
            let norms = first.squareRoot() + second.squareRoot()
            if norms > 0 { sum += difference.squareRoot() / norms }
        }
        return Float(sum / Double(exemplar.count))
    }

    /// For each tap the mean over the windows.
    private static func grams(
        _ image: Image, side: Int, _ features: VGGFeatures, in workspace: Workspace
    ) -> [[Float]] {
        func starts(_ length: Int) -> [Int] {
            let count = min(maxPerSide, (length + side - 1) / side)
            return (0..<count).map { count == 1 ? (length - side) / 2 : $0 * (length - side) / (count - 1) }
        }
        var sums: [[Float]] = []
        let corners = starts(image.height).flatMap { y in starts(image.width).map { (y: y, x: $0) } }
        for corner in corners {
            let window = image.cropped(x: corner.x, y: corner.y, width: side, height: side)
            let grams = workspace.arena.scoped {
                let tensor = Tensor(in: workspace.arena, height: side, width: side, channels: 3)
                window.write(to: tensor)
                return features.grams(of: tensor, maxTaps: maxTaps, in: workspace)
            }
            sums = sums.isEmpty ? grams : zip(sums, grams).map { zip($0, $1).map { $0 + $1 } }
        }
        return sums.map { $0.map { $0 / Float(corners.count) } }
    }
}
