import Imaging
import NNCore

/// The memory of an expansion: what it holds besides features, and the least that it takes.
struct ExpansionMemory {
    let generator: Generator
    let statistics: NormStatistics
    let plan: DoublingPlan
    /// Along which the result tiles; nil for a result that does not.
    let axes: TorusAxes?
    /// Bytes of a channel.
    let sampleBytes: Int
    /// Of the picture from which the generator's input is made.
    let source: PictureSize
    /// How the input is made of it.
    let input: ExpansionInput
    /// Whether the picture tiles already.
    let isPeriodic: Bool
    /// What reading the picture takes; 0 if it is there already.
    var readingBytes = 0
    /// Pixels that blocks cover for the layout that the input follows, as it is used; 0 without one.
    var layoutPixels = 0
    /// Pixels of the picture that crops are compared with, as it is used; 0 without one.
    var nearPixels = 0
    /// What decoding and scaling either of them takes.
    var guideBytes = 0

    struct PictureSize: Equatable {
        let width: Int
        let height: Int
        var pixels: Int { width * height }
    }

    /// The program, its libraries and stacks.
    static let programBytes = 48 << 20

    /// What a process may use for an expansion, of the memory that it has: at least a quarter is for everything else.
    static func budget(ofBytes bytes: Int) -> Int { max(0, min(bytes / 4 * 3, bytes - programBytes)) }

    /// The memory of a process with this budget. The inverse of ``budget(ofBytes:)``.
    static func bytes(forBudget budget: Int) -> Int { max((budget + 2) / 3 * 4, budget + programBytes) }

    /// The smallest budget with which every phase fits. Whatever fits one phase leaves the limit of ``featureLimit`` for it.
    var leastBudget: Int {
        let doublings = (1...plan.doublings).map { doubling in
            max(pictures(during: doubling) + leastFeatures(of: doubling), pictures(around: doubling))
        }
        return max(weights + readingBytes, held + max(preparation, doublings.max() ?? 0))
    }

    /// Bytes for features, scratch and the rows of the smallest pieces.
    func leastFeatures(of doubling: Int) -> Int {
        let framed = framedSize(of: doubling)
        return Division.leastBytes(
            generator, statistics.norms, height: Expansion.padded(framed.height), width: Expansion.padded(framed.width),
            rowBytes: rowBytes)
    }

    /// Bytes for features, scratch and the rows of a piece.
    func featureLimit(of doubling: Int, within budget: Int) -> Int {
        max(0, budget - held - pictures(during: doubling))
    }

    /// Bytes of the result for a pixel of its input.
    var rowBytes: Int { 4 * generator.channels * sampleBytes }

    // MARK: Pictures

    private var weights: Int { generator.parameters.reduce(0) { $0 + $1.count } * MemoryLayout<Float>.size }

    /// What stays throughout: weights, the picture, and what was made of it.
    private var held: Int {
        // The layout, and the light and the colours of the exemplar, by which blocks are chosen for it.
        let light = layoutPixels == 0 ? 0 : 15 * source.pixels + 3 * layoutPixels
        return weights + 3 * bytes(source) + light
    }

    /// Before the first doubling.
    private var preparation: Int {
        let sampleBytes = generator.channels * sampleBytes
        // The light that the layout asks for, its order, the light of what was laid, and the pictures. The light of
        // the exemplar is averaged and ordered before: 36 bytes a pixel with what is held.
        let layout = layoutPixels == 0 ? 0 : (110 + 3 * sampleBytes) * layoutPixels + 21 * source.pixels
        // The image with 8 bits, and both at smaller scales.
        let near = nearPixels == 0 ? 0 : 8 * source.pixels + 4 * nearPixels
        // Noise ranks its values and the picture's pixels; sorting copies them.
        let noise = input == .noise ? 40 * source.pixels : 0
        // The light of the exemplar and of the join, and the copies: turned, cut, rolled, and with moved light.
        let periodic = axes == nil || isPeriodic ? 0 : (40 + 6 * sampleBytes) * max(source.pixels, layoutPixels)
        return max(noise, periodic, layout, near, guideBytes)
    }

    /// The pictures beside the features.
    private func pictures(during doubling: Int) -> Int {
        let (before, framed) = (bytes(size(after: doubling - 1)), bytes(framedSize(of: doubling)))
        // The image, its roll, the roll with margins, and the result.
        if axes != nil { return 2 * before + framed + 4 * before }
        // The last result is written row by row.
        return framed + (doubling < plan.doublings ? bytes(size(after: doubling)) : 0)
    }

    /// The pictures before and after the inference.
    private func pictures(around doubling: Int) -> Int {
        let (before, framed) = (bytes(size(after: doubling - 1)), bytes(framedSize(of: doubling)))
        // The result, and its roll back.
        return axes == nil ? before + framed : 2 * before + framed + 8 * before
    }

    private func size(after doubling: Int) -> PictureSize {
        let size = plan.size(after: doubling)
        return PictureSize(width: size.width, height: size.height)
    }

    /// The generator's input, with what surrounds the picture.
    private func framedSize(of doubling: Int) -> PictureSize {
        let size = size(after: doubling - 1)
        let frame = generator.head.norm == nil ? Expansion.frame : 0
        func margin(_ axis: TorusAxes) -> Int {
            axes?.contains(axis) == true ? Expansion.margin(for: generator) : frame
        }
        return PictureSize(width: size.width + 2 * margin(.x), height: size.height + 2 * margin(.y))
    }

    private func bytes(_ size: PictureSize) -> Int { size.pixels * generator.channels * sampleBytes }
}

/// An expansion needs more memory than it may use.
public struct MemoryShortage: Error, Sendable, CustomStringConvertible {
    /// Of the result, in pixels.
    public let width: Int
    public let height: Int
    /// Of the process.
    public let neededBytes: Int
    /// What the process may use.
    public let availableBytes: Int
    /// What set that.
    let limit: Limit
    /// Whether norms that measure the image are why smaller pieces are not possible, and have averages to use instead.
    let averagesWouldDo: Bool

    enum Limit {
        /// `--memory`.
        case chosen
        /// The machine, or the process's share of it.
        case memory
        /// `ulimit -v`, which leaves so much for features.
        case addresses
    }

    /// "4096x4096 pixels need 900 MiB".
    public var need: String { "\(width)x\(height) pixels need \(Self.mebibytes(neededBytes)) MiB" }

    /// What else could be asked for, after a comma or "or"; empty if there is nothing.
    public var alternative: String { averagesWouldDo ? ", or normalise by running averages (statistics=running)" : "" }

    public var description: String {
        let available = availableBytes >> 20
        let (found, advice) =
            switch limit {
            case .chosen:
                ("--memory allows \(available) MiB", "expected at least --memory \(Self.mebibytes(neededBytes))")
            case .memory: ("this process may use \(available) MiB", "give it more memory")
            case .addresses:
                ("the limit of addresses leaves \(available) MiB for features", "raise that limit (ulimit -v)")
            }
        let other = averagesWouldDo ? ", or --statistics running, which can use smaller pieces" : ""
        return "\(need), and \(found); \(advice)\(other), or a smaller --size"
    }

    private static func mebibytes(_ bytes: Int) -> Int { (bytes + (1 << 20) - 1) >> 20 }
}
