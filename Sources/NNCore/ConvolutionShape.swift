/// The sizes of one convolution, whatever the number of images. A transposed convolution is described by the convolution it is the adjoint of.
public struct ConvolutionShape: Sendable, Hashable {
    public let inHeight, inWidth, inChannels: Int
    public let outChannels: Int
    /// Kernel height and width.
    public let kernel: Int
    public let stride: Int
    public let padding: Padding

    public init(
        inHeight: Int, inWidth: Int, inChannels: Int, outChannels: Int, kernel: Int, stride: Int = 1,
        padding: Padding = .none
    ) {
        self.inHeight = inHeight
        self.inWidth = inWidth
        self.inChannels = inChannels
        self.outChannels = outChannels
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
        precondition(inHeight + 2 * padding.amount >= kernel && inWidth + 2 * padding.amount >= kernel)
        precondition(padding.mode != .reflect || min(inHeight, inWidth) > padding.amount)
    }

    public var outHeight: Int { (inHeight + 2 * padding.amount - kernel) / stride + 1 }
    public var outWidth: Int { (inWidth + 2 * padding.amount - kernel) / stride + 1 }
    public var outPixels: Int { outHeight * outWidth }
    public var taps: Int { kernel * kernel }
    public var weightCount: Int { taps * inChannels * outChannels }
    /// Multiply-adds of the direct method.
    public var multiplyAdds: Int { outPixels * weightCount }

    func check(input: Tensor, output: Tensor) {
        precondition(input.height == inHeight && input.width == inWidth && input.channels == inChannels)
        precondition(output.height == outHeight && output.width == outWidth && output.channels == outChannels)
        precondition(input.images == output.images)
    }
}
