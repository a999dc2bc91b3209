import Base
import Imaging

/// Which part of an image is expanded, and how large the result becomes.
struct ExpansionFrame {
    /// The image's name, for messages.
    let name: String
    let times: Int?
    let size: PixelSize?
    /// The axes along which the result has to tile.
    let axes: TorusAxes
    /// Whether the image tiles already.
    let isPeriodic: Bool

    /// The part of the picture to double, periodic along the axes, and the plan for it.
    /// - Throws: `ExpansionFailure` for a picture that is too small, and for a size that cannot be had.
    func prepared<Sample>(_ picture: Raster<Sample>) throws -> (Raster<Sample>, DoublingPlan) {
        try requireSides(picture.width, picture.height)
        guard let size else {
            let input = isPeriodic ? picture : PeriodicImage.made(from: picture, along: axes)
            return (input, try doubledPlan(input.width, input.height))
        }
        let plan = try plan(for: size, picture.width, picture.height)
        let part = plan.size(after: 0)
        // What is made periodic is filled with blocks of the whole.
        let middle = picture.middle(
            width: axes.contains(.x) ? picture.width : part.width,
            height: axes.contains(.y) ? picture.height : part.height)
        return (PeriodicImage.made(from: middle, along: axes, width: part.width, height: part.height), plan)
    }

    /// Checks a picture's size, as far as ``prepared(_:)`` depends on nothing else.
    /// - Returns: The plan; if the pixels decide how large the result becomes, that of the largest.
    /// - Throws: `ExpansionFailure` likewise.
    func checkedPlan(width: Int, height: Int) throws -> DoublingPlan {
        try requireSides(width, height)
        if let size { return try plan(for: size, width, height) }
        func side(_ whole: Int, _ axis: TorusAxes) -> Int {
            axes.contains(axis) && !isPeriodic ? PeriodicImage.widest(of: whole) : whole
        }
        return try doubledPlan(side(width, .x), side(height, .y))
    }

    private func doubledPlan(_ width: Int, _ height: Int) throws -> DoublingPlan {
        let plan = DoublingPlan(doubling: width, height, times: times ?? 1)
        try requireLimits(plan.width, plan.height, "the result of --times \(times ?? 1)")
        return plan
    }

    /// - Parameter advises: whether the failure for sides that do not tile names others.
    private func plan(
        for size: PixelSize, _ sourceWidth: Int, _ sourceHeight: Int, advises: Bool = true
    ) throws -> DoublingPlan {
        // First, because the source may be half a size that does not fit an Int when it is doubled.
        try requireLimits(size.width, size.height, "the result of --size")
        let width = axes.contains(.x) ? PeriodicImage.widest(of: sourceWidth) : sourceWidth
        let height = axes.contains(.y) ? PeriodicImage.widest(of: sourceHeight) : sourceHeight
        guard let plan = DoublingPlan(reaching: size.width, size.height, fromWidth: width, height: height) else {
            let most = DoublingPlan.maxDoublings
            throw ExpansionFailure(
                "--size \(size): \(name) has \(sourceWidth)x\(sourceHeight) pixels; expected at "
                    + "most \(width << most)x\(height << most), which is \(most) doublings")
        }
        let unit = 4 << plan.doublings
        guard !axes.contains(.x) || size.width % unit == 0, !axes.contains(.y) || size.height % unit == 0 else {
            let others = advises ? possible(near: size, sourceWidth, sourceHeight).map { "\($0)" } : []
            throw ExpansionFailure(
                "--size \(size) with --seamless takes \(counted(plan.doublings, "doubling")) of \(name); expected sides "
                    + "that are multiples of \(unit) where they tile"
                    + (others.isEmpty ? "" : ": \(others.joined(separator: " or "))"))
        }
        let (part, least) = (plan.size(after: 0), PeriodicImage.minSide)
        // Both sides: the blocks that join two borders have room along them, too.
        guard axes.isEmpty || min(part.width, part.height) >= least else {
            throw ExpansionFailure(
                "--size \(size) with --seamless takes \(part.width)x\(part.height) pixels of \(name); expected a size that "
                    + "takes at least \(least) a side")
        }
        return plan
    }

    /// The sizes nearest to one whose sides do not tile: a smaller and a larger one, as far as they can be had.
    private func possible(near size: PixelSize, _ sourceWidth: Int, _ sourceHeight: Int) -> [PixelSize] {
        func rounded(up: Bool) -> [PixelSize] {
            // Another size may take another number of doublings.
            let sizes = (1...DoublingPlan.maxDoublings).map { doublings in
                let unit = 4 << doublings
                func side(_ length: Int, _ axis: TorusAxes) -> Int {
                    axes.contains(axis) ? (length + (up ? unit - 1 : 0)) / unit * unit : length
                }
                return PixelSize(width: side(size.width, .x), height: side(size.height, .y))
            }
            return sizes.filter { (try? plan(for: $0, sourceWidth, sourceHeight, advises: false)) != nil }
        }
        func isSmaller(_ a: PixelSize, _ b: PixelSize) -> Bool { a.width * a.height < b.width * b.height }
        return [rounded(up: false).max(by: isSmaller), rounded(up: true).min(by: isSmaller)].compactMap { $0 }
    }

    private func requireSides(_ width: Int, _ height: Int) throws {
        guard !axes.isEmpty else { return }
        let found = "\(name) has \(width)x\(height) pixels"
        if isPeriodic {
            guard !axes.contains(.x) || width % 4 == 0, !axes.contains(.y) || height % 4 == 0 else {
                throw ExpansionFailure(
                    "\(found); --periodic-input expects sides that are multiples of 4: scale it, or omit the flag")
            }
        } else if min(width, height) < PeriodicImage.minSide {
            throw ExpansionFailure(
                "\(found); --seamless expects at least \(PeriodicImage.minSide) a side: give a larger image")
        }
    }

    /// A result that tiles is held in memory, any other is written row by row.
    private func requireLimits(_ width: Int, _ height: Int, _ what: String) throws {
        let limits = axes.isEmpty ? ImageLimits.result : .standard
        guard !limits.allow(width: width, height: height) else { return }
        let advice = (times ?? 1) > 1 ? ", or take a smaller --times" : ""
        throw ExpansionFailure(limits.tooLarge(what, width, height).message + advice)
    }
}
