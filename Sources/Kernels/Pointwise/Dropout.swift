import Tensors

/// One draw of dropout: a mask over the elements of a tensor, a pure function of the stream's position.
///
/// Kept elements are scaled by `1 / (1 - rate)`. The backward pass applies the same operation to the gradient: it draws
/// the mask again instead of storing it.
public struct Dropout: Sendable, BitwiseCopyable {
    private static let lanes = 8  // 16 bits an element: eight elements from one block of the stream

    private let stream: RandomStream
    private let first: UInt64
    private let rate: Float

    /// Draws for `count` elements and advances the stream.
    /// - Parameter rate: the share of zeroed elements, in [0, 1), in steps of 2^-16.
    public init(rate: Float, count: Int, from stream: inout RandomStream) {
        require(rate >= 0 && rate < 1, "a dropout rate of \(rate): expected one in [0, 1)")
        self.rate = rate
        self.stream = stream
        first = stream.reserve(blocks: (count + Self.lanes - 1) / Self.lanes)
    }

    /// Zeroes the drawn elements of `tensor` and scales the others.
    public func apply(to tensor: Tensor, in workspace: Workspace) {
        let threshold = SIMD8(repeating: UInt32(rate * 65536))
        let scale = 1 / (1 - rate)
        let data = tensor.data
        workspace.pool.run(over: tensor.count, grain: 1 << 13) { range in
            for index in stride(from: range.lowerBound, to: range.upperBound, by: Self.lanes) {
                let bits = stream.block(at: first &+ UInt64(index / Self.lanes))
                var draws = SIMD8<UInt32>()
                draws.evenHalf = bits & 0xFFFF
                draws.oddHalf = bits &>> 16
                let lanes = min(Self.lanes, range.upperBound - index)
                let value = load8(data + index, lanes: lanes) * Float8(repeating: scale)
                store8(value.replacing(with: 0, where: draws .< threshold), data + index, lanes: lanes)
            }
        }
    }
}
