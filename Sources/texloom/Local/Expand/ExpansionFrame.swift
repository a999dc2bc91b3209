import Imaging
import TextureGAN

/// Which part of an image is expanded, and how large the result becomes.
struct ExpansionFrame {
    /// The image's, for messages.
    let name: String
    let times: Int?
    let size: PixelSize?
    /// The axes along which the result has to tile.
    let axes: TorusAxes
    /// Whether the image tiles already.
    let isPeriodic: Bool

    /// The default name of the result, without an extension.
    var defaultName: String {
        let suffix = size.map { "\($0.width)x\($0.height)" } ?? "\(1 << (times ?? 1))x"
        return "\(FileName.stem(of: name))_\(suffix)"
    }

    /// The part of the picture to double, periodic along the axes, and the plan for it.
    /// - Throws: `CommandFailure` for a picture that is too small, and for a size that cannot be had.
    func prepared<Sample>(_ picture: Raster<Sample>) throws -> (Raster<Sample>, DoublingPlan) {
        try requireSides(of: picture)
        guard let size else {
            let input = isPeriodic ? picture : PeriodicImage.made(from: picture, along: axes)
            let plan = DoublingPlan(doubling: input.width, input.height, times: times ?? 1)
            try requireLimits(plan, "the result of --times \(times ?? 1)")
            return (input, plan)
        }
        let plan = try plan(for: size, from: picture)
        try requireLimits(plan, "the result of --size")
        let part = plan.size(after: 0)
        // What is made periodic is larger than what remains of it.
        let middle = picture.middle(
            width: axes.contains(.x) ? picture.width : part.width,
            height: axes.contains(.y) ? picture.height : part.height)
        return (PeriodicImage.made(from: middle, along: axes, width: part.width, height: part.height), plan)
    }

    private func plan<Sample>(for size: PixelSize, from picture: Raster<Sample>) throws -> DoublingPlan {
        let width = axes.contains(.x) ? PeriodicImage.widest(of: picture.width) : picture.width
        let height = axes.contains(.y) ? PeriodicImage.widest(of: picture.height) : picture.height
        guard let plan = DoublingPlan(reaching: size.width, size.height, fromWidth: width, height: height) else {
            let most = DoublingPlan.maxDoublings
            throw CommandFailure(
                "--size \(size.width)x\(size.height): \(name) has \(picture.width)x\(picture.height) pixels; expected at "
                    + "most \(width << most)x\(height << most), which is \(most) doublings", exit: .usage)
        }
        let unit = 4 << plan.doublings
        guard !axes.contains(.x) || size.width % unit == 0, !axes.contains(.y) || size.height % unit == 0 else {
            throw CommandFailure(
                "--size \(size.width)x\(size.height) with --seamless takes \(plan.doublings) "
                    + "doubling\(plan.doublings == 1 ? "" : "s") of \(name); expected sides that are multiples of "
                    + "\(unit) where they tile", exit: .usage)
        }
        return plan
    }

    private func requireSides<Sample>(of picture: Raster<Sample>) throws {
        let sides = (axes.contains(.x) ? [picture.width] : []) + (axes.contains(.y) ? [picture.height] : [])
        let found = "\(name) has \(picture.width)x\(picture.height) pixels"
        if isPeriodic {
            guard sides.allSatisfy({ $0 % 4 == 0 }) else {
                throw CommandFailure(
                    "\(found); --periodic-input expects sides that are multiples of 4: scale it, or omit the flag",
                    exit: .usage)
            }
        } else if !sides.allSatisfy({ $0 >= PeriodicImage.minSide }) {
            throw CommandFailure(
                "\(found); --seamless expects at least \(PeriodicImage.minSide) a side: give a larger image",
                exit: .usage)
        }
    }

    /// A result that tiles is held in memory, any other is written row by row.
    private func requireLimits(_ plan: DoublingPlan, _ what: String) throws {
        let limits = axes.isEmpty ? ImageLimits.result : .standard
        guard !limits.allow(width: plan.width, height: plan.height) else { return }
        let advice = (times ?? 1) > 1 ? ", or take a smaller --times" : ""
        throw CommandFailure(limits.tooLarge(what, plan.width, plan.height).message + advice, exit: .usage)
    }
}
