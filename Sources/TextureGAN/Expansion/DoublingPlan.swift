import Imaging

/// How often an image is doubled to reach a size, and to what it is cut before.
///
/// The middle of the image is expanded: it is cut first, so that no pixel is computed for nothing. Where a side of the
/// result cannot be halved, a doubling gives one column or row too many, at the right or the bottom, which is dropped.
public struct DoublingPlan: Equatable, Sendable {
    /// At least 1.
    public let doublings: Int
    /// Of the result.
    public let width: Int
    public let height: Int

    /// 256 times the size.
    public static let maxDoublings = 8

    /// Doubles all of an image of a size.
    public init(doubling width: Int, _ height: Int, times: Int) {
        doublings = times
        self.width = width << times
        self.height = height << times
    }

    /// The fewest doublings after which an image is as large as wanted, and at least one.
    /// - Returns: nil if that takes more than `maxDoublings`.
    public init?(reaching width: Int, _ height: Int, fromWidth sourceWidth: Int, height sourceHeight: Int) {
        let enough = (1...Self.maxDoublings).first { sourceWidth << $0 >= width && sourceHeight << $0 >= height }
        guard let enough else { return nil }
        doublings = enough
        self.width = width
        self.height = height
    }

    /// The size after some of the doublings; 0 for that of the part of the image that is expanded.
    public func size(after doubling: Int) -> (width: Int, height: Int) {
        let factor = 1 << (doublings - doubling)
        return ((width + factor - 1) / factor, (height + factor - 1) / factor)
    }

    /// The share of the work that is done after some doublings and a share of the next: each takes four times the last.
    public func share(after doubling: Int, and share: Double) -> Double {
        func work(_ count: Int) -> Double { Double(1 << (2 * count)) - 1 }
        return (work(doubling) + share * (work(doubling + 1) - work(doubling))) / work(doublings)
    }
}

extension Raster {
    /// The middle of the image, or one pixel left of it or above.
    public func middle(width: Int, height: Int) -> Raster {
        if width == self.width, height == self.height { return self }
        return cropped(x: (self.width - width) / 2, y: (self.height - height) / 2, width: width, height: height)
    }
}
