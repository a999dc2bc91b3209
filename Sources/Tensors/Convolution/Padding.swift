/// The values that a convolution sees beyond the border of its input.
public enum PaddingMode: String, Sendable, Hashable, CaseIterable {
    /// Zeros.
    case zero
    /// The image mirrored at its outermost pixels, which are not repeated: `2 1 | 0 1 2`.
    case reflect
    /// The outermost pixels repeated: `0 0 | 0 1 2`.
    case replicate
}

/// Padding of all four sides by the same amount, after an enlargement by nearest neighbour.
///
/// Kernels pad by index, never by copying: they look up the row and column that a position stands for. Those of
/// `winograd3x3` enlarge in the same way; for all others `ConvolutionShape` makes an enlarged copy.
public struct Padding: Sendable, Hashable {
    /// Pixels added to each side.
    public let amount: Int
    public let mode: PaddingMode
    /// Each pixel of the input stands for so many along each axis: 1, or 2 for a doubled input.
    public let enlargement: Int

    public init(_ amount: Int, _ mode: PaddingMode = .zero, enlargement: Int = 1) {
        require(amount >= 0, "padding by \(amount) pixels: expected 0 or more")
        require(enlargement == 1 || enlargement == 2, "enlargement by \(enlargement): expected 1 or 2")
        self.amount = amount
        self.mode = mode
        self.enlargement = enlargement
    }

    public static let none = Padding(0)

    /// The length of a convolution's output along an axis of `length`.
    public func outputLength(_ length: Int, kernelSize: Int, stride: Int) -> Int {
        (enlargement * length + 2 * amount - kernelSize) / stride + 1
    }

    /// Ends the process if the shapes do not fit a convolution.
    package func check(input: Tensor, output: Tensor, kernelSize: Int, stride: Int) {
        require(
            input.images == output.images, "input and output have \(input.images) and \(output.images) images")
        require(
            enlargement * min(input.height, input.width) + 2 * amount >= kernelSize
                && output.height == outputLength(input.height, kernelSize: kernelSize, stride: stride)
                && output.width == outputLength(input.width, kernelSize: kernelSize, stride: stride),
            "a \(kernelSize)x\(kernelSize) convolution of stride \(stride) does not turn \(input.height)x\(input.width) into "
                + "\(output.height)x\(output.width)")
        requireRoom(height: input.height, width: input.width)
    }

    /// Ends the process if an image is too small to be reflected.
    package func requireRoom(height: Int, width: Int) {
        require(
            mode != .reflect || enlargement * min(height, width) > amount,
            "reflection by \(amount) needs more than \(height)x\(width) pixels")
    }

    /// The index that a position on an axis of `length` stands for, or -1 for a zero. Positions count from the first
    /// unpadded pixel of the enlarged axis, so padding has `position < 0` or `position >= enlargement * length`;
    /// everything beyond the padding is zero.
    ///
    /// Reflection needs `enlargement * length > amount`.
    @inlinable
    @inline(__always)
    public func source(of position: Int, length: Int) -> Int {
        if enlargement == 1 { return place(of: position, length: length) }
        let place = place(of: position, length: enlargement * length)
        return place < 0 ? -1 : place / enlargement
    }

    @inlinable
    @inline(__always)
    func place(of position: Int, length: Int) -> Int {
        if position >= 0 && position < length { return position }
        if position < -amount || position >= length + amount { return -1 }
        switch mode {
        case .zero: return -1
        case .reflect: return position < 0 ? -position : 2 * (length - 1) - position
        case .replicate: return position < 0 ? 0 : length - 1
        }
    }

    /// Calls `body` for each position that stands for an index, including the index itself: padding before it, itself,
    /// padding after it.
    @inlinable
    @inline(__always)
    package func forEachPosition(of index: Int, length: Int, _ body: (Int) -> Void) {
        for position in -amount..<0 where source(of: position, length: length) == index { body(position) }
        body(index)
        for position in length..<length + amount where source(of: position, length: length) == index {
            body(position)
        }
    }
}
