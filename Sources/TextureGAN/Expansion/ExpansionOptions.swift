import NNCore

/// What to make of a picture: the options of `texloom expand`, and the spec of a job of kind `expand`.
public struct ExpansionOptions: Equatable, Sendable {
    /// Nil: once, unless a size is given.
    public var times: Int?
    public var size: PixelSize?
    /// How many random crops or random inputs to expand; nil: one result.
    public var variations: Int?
    public var input = ExpansionInput.image
    public var seed: UInt64?
    /// Bits of a channel; nil: 8, and of each map of a material as many as its input has.
    public var depth: Int?
    public var statistics = NormStatistics.image
    /// Along which results tile.
    public var axes: TorusAxes = []
    /// Whether the picture tiles already.
    public var isPeriodic = false

    public init() {}

    /// Why there is no such expansion, in terms of the command's options; nil if there is one.
    public var mistake: String? {
        if let times {
            guard (1...DoublingPlan.maxDoublings).contains(times) else {
                return "--times \(times): expected 1 to \(DoublingPlan.maxDoublings)"
            }
            guard size == nil else { return "--times and --size: expected one of them" }
        }
        guard !isPeriodic || !axes.isEmpty else {
            return "--periodic-input without --seamless: expected --seamless both, x or y too"
        }
        guard !isPeriodic || size == nil else {
            return "--periodic-input and --size: a part of a tile does not tile; expected --times"
        }
        if let variations, !(1...10_000).contains(variations) {
            return "--variations \(variations): expected 1 to 10000"
        }
        let isRandom = variations != nil || input != .image
        guard seed == nil || isRandom else {
            return "--seed without --variations, --input tiles or --input noise has no effect"
        }
        guard !isPeriodic || !isRandom else {
            return "--periodic-input: crops, shuffled blocks and noise do not tile; expected --seamless alone"
        }
        guard let depth, depth != 8, depth != 16 else { return nil }
        return "--depth \(depth): expected 8 or 16"
    }

    /// The number of results.
    public var count: Int { variations ?? 1 }

    /// The most bytes of a stem in the names of results. A file's name has at most 255, and the rest is more than stands
    /// after the stem: a size, what the input was, numbers, a map's name and the extension.
    public static let maxStemBytes = 255 - 80

    /// The default names of the results of an image, without a folder: IMAGE_2x.png, or IMAGE_WxH_tile-1.png and so on.
    /// Each kind of result has names of its own, so that a tile does not replace the plain double.
    /// - Parameters:
    ///   - stem: the image's name without its extension; cut to ``maxStemBytes``.
    ///   - guide: what else decides the result: "layout" or "near".
    ///   - end: an extension with its dot, or "" for the folders of a material.
    public func names(stem: String, guide: String? = nil, extension end: String = ".png") -> [String] {
        var stem = stem
        while stem.utf8.count > Self.maxStemBytes { stem.removeLast() }
        let kinds = [guide, input.suffix, axes.isEmpty ? nil : "tile"].compactMap { $0 }
        let name = ([stem, size.map { "\($0)" } ?? "\(1 << (times ?? 1))x"] + kinds).joined(separator: "_")
        guard let variations else { return ["\(name)\(end)"] }
        return (1...variations).map { "\(name)-\($0)\(end)" }
    }
}

// The text of a job's spec.
extension ExpansionOptions: CustomStringConvertible {
    /// Reads NAME=VALUE, separated by commas; `seamless` alone means both axes.
    /// - Throws: `ExpansionFailure` for an unknown name, a bad value, and options that exclude each other.
    public init(_ text: String) throws(ExpansionFailure) {
        self.init()
        for (name, value) in try SpecText.pairs(of: text, flags: ["seamless": "both"]) {
            func known<Value>(_ value: Value?, _ expected: String) throws(ExpansionFailure) -> Value {
                guard let value else { throw SpecText.badValue(name, text, expected) }
                return value
            }
            switch name {
            case "times": times = try known(Int(value), "a number of doublings, such as times=2")
            case "size": size = try known(PixelSize(value), "WxH, such as size=\(PixelSize.example(for: value))")
            case "variations": variations = try known(Int(value), "a number, such as variations=4")
            case "input": input = try known(ExpansionInput(value), "image, tiles, tiles:N or noise")
            case "seed": seed = try known(UInt64(value), "a whole number, such as seed=7")
            case "depth": depth = try known(Int(value), "8 or 16")
            case "statistics": statistics = try known(NormStatistics(rawValue: value), "image or running")
            case "seamless": axes = try known(TorusAxes(option: value), "both, x or y")
            default:
                throw ExpansionFailure(
                    "there is no option '\(name)' of expand; expected size, times, seamless, variations, input, seed, depth "
                        + "or statistics")
            }
        }
        if let mistake { throw ExpansionFailure(mistake) }
    }

    /// The same options give the same text, whatever was written.
    public var description: String {
        var pairs: [(String, String)] = []
        if let size { pairs.append(("size", "\(size)")) } else { pairs.append(("times", "\(times ?? 1)")) }
        if !axes.isEmpty { pairs.append(("seamless", axes == .both ? "both" : axes == .x ? "x" : "y")) }
        if let variations { pairs.append(("variations", "\(variations)")) }
        if input != .image { pairs.append(("input", "\(input)")) }
        if variations != nil || input != .image { pairs.append(("seed", "\(seed ?? 1)")) }
        if let depth { pairs.append(("depth", "\(depth)")) }
        if statistics == .running { pairs.append(("statistics", "running")) }
        return pairs.map { "\($0.0)=\($0.1)" }.joined(separator: ",")
    }
}

/// Specs of jobs as text: NAME=VALUE, separated by commas.
enum SpecText {
    /// - Parameter flags: what a name alone means.
    /// - Throws: `ExpansionFailure` for a name without a value, and a name that comes twice.
    static func pairs(of text: String, flags: [String: String]) throws(ExpansionFailure) -> [(String, String)] {
        var pairs: [(String, String)] = []
        for word in text.split(separator: ",", omittingEmptySubsequences: true) {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let name = parts[0]
            guard let value = parts.count == 2 ? parts[1] : flags[name] else {
                throw ExpansionFailure("'\(word)': expected NAME=VALUE, separated by commas")
            }
            guard !pairs.contains(where: { $0.0 == name }) else {
                throw ExpansionFailure("'\(name)' is given twice; expected it once")
            }
            pairs.append((name, value))
        }
        return pairs
    }

    static func badValue(_ name: String, _ text: String, _ expected: String) -> ExpansionFailure {
        ExpansionFailure("'\(name)' in '\(text)': expected \(expected)")
    }
}

/// How a generator's norms normalise.
public enum NormStatistics: String, Sendable, CaseIterable {
    /// By the image's own statistics.
    case image
    /// By the averages of training.
    case running

    var norms: BatchNorm.Statistics { self == .image ? .image : .running }

    /// Checks that a generator's norms have these. Without norms, either are the same.
    /// - Parameter name: the generator's, for messages.
    /// - Throws: `ExpansionFailure`.
    public func require(of generator: Generator, named name: String) throws(ExpansionFailure) {
        guard self == .image || !generator.measures(for: .running) else {
            throw ExpansionFailure("\(name) has norms without running averages; expected --statistics image")
        }
    }
}

extension TorusAxes {
    /// both, x or y.
    public init?(option: String) {
        switch option {
        case "both": self = .both
        case "x": self = .x
        case "y": self = .y
        default: return nil
        }
    }
}

/// A width and a height, written as WxH.
public struct PixelSize: Equatable, Sendable, CustomStringConvertible {
    public let width: Int
    public let height: Int

    public init?(_ text: String) {
        let sides = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard sides.count == 2, let width = sides[0], let height = sides[1], min(width, height) > 0 else { return nil }
        self.width = width
        self.height = height
    }

    init(width: Int, height: Int) { (self.width, self.height) = (width, height) }

    /// How to write a size, for who has written something else: of one side, the square.
    public static func example(for text: String) -> PixelSize {
        let side = Int(text).flatMap { $0 > 0 ? $0 : nil } ?? 4096
        return PixelSize(width: side, height: side)
    }

    public var description: String { "\(width)x\(height)" }
}
