/// What a convolution sees beyond the border of its input.
public enum PaddingMode: String, Sendable, Hashable, CaseIterable {
    /// Zeros.
    case zero
    /// The image mirrored at its outermost pixels, which are not repeated: `2 1 | 0 1 2`.
    case reflect
    /// The outermost pixels repeated: `0 0 | 0 1 2`.
    case replicate
}

/// Padding of all four sides by the same amount.
///
/// Kernels pad by index, never by copying: they look up which row and column a padded position stands for.
public struct Padding: Sendable, Hashable {
    /// Pixels added to each side.
    public let amount: Int
    public let mode: PaddingMode

    public init(_ amount: Int, _ mode: PaddingMode = .zero) {
        precondition(amount >= 0)
        self.amount = amount
        self.mode = mode
    }

    public static let none = Padding(0)

    /// The length of a convolution's output along an axis of `length`.
    public func outputLength(_ length: Int, taps: Int, stride: Int) -> Int {
        (length + 2 * amount - taps) / stride + 1
    }

    /// Stops on shapes that do not fit a convolution: a mistake of ours.
    @inline(__always)
    func check(input: Tensor, output: Tensor, taps: Int, stride: Int) {
        precondition(input.images == output.images)
        precondition(
            min(input.height, input.width) + 2 * amount >= taps
                && output.height == outputLength(input.height, taps: taps, stride: stride)
                && output.width == outputLength(input.width, taps: taps, stride: stride),
            "a \(taps)x\(taps) convolution of stride \(stride) does not turn \(input.height)x\(input.width) into "
                + "\(output.height)x\(output.width)")
        precondition(
            mode != .reflect || min(input.height, input.width) > amount,
            "reflection by \(amount) needs more than \(input.height)x\(input.width) pixels")
    }

    /// The index that position `position` of an axis of `length` stands for, or -1 for a zero. Positions count from
    /// the first unpadded pixel, so padding has `position < 0` or `position >= length`; beyond the padding all is zero.
    ///
    /// Reflection needs `length > amount`.
    @inline(__always)
    public func source(of position: Int, length: Int) -> Int {
        if position >= 0 && position < length { return position }
        if position < -amount || position >= length + amount { return -1 }
        switch mode {
        case .zero: return -1
        case .reflect: return position < 0 ? -position : 2 * (length - 1) - position
        case .replicate: return position < 0 ? 0 : length - 1
        }
    }

    /// The positions that stand for an index, itself among them, in order.
    @inline(__always)
    func forEachPosition(of index: Int, length: Int, _ body: (Int) -> Void) {
        for position in -amount..<0 where source(of: position, length: length) == index { body(position) }
        body(index)
        for position in length..<length + amount where source(of: position, length: length) == index {
            body(position)
        }
    }
}

/// For each of the `length + 2 * amount` positions of a padded axis, the index it stands for, or -1 for a zero.
public func sourceIndices(length: Int, amount: Int, mode: PaddingMode) -> [Int32] {
    let padding = Padding(amount, mode)
    precondition(mode != .reflect || length > amount, "reflection by \(amount) needs more than \(length) pixels")
    return (-amount..<length + amount).map { Int32(padding.source(of: $0, length: length)) }
}
