/// The sizes of one convolution, for any number of images. A transposed convolution is described by the convolution
/// whose adjoint it is.
public struct ConvolutionShape: Sendable, Hashable {
    public let inputHeight, inputWidth, inputChannels: Int
    public let outputChannels: Int
    /// Height and width of the kernel.
    public let kernelSize: Int
    public let stride: Int
    public let padding: Padding

    public init(
        inputHeight: Int, inputWidth: Int, inputChannels: Int, outputChannels: Int, kernelSize: Int, stride: Int = 1,
        padding: Padding = .none
    ) {
        self.inputHeight = inputHeight
        self.inputWidth = inputWidth
        self.inputChannels = inputChannels
        self.outputChannels = outputChannels
        self.kernelSize = kernelSize
        self.stride = stride
        self.padding = padding
        require(
            padding.enlargement * min(inputHeight, inputWidth) + 2 * padding.amount >= kernelSize,
            "a \(kernelSize)x\(kernelSize) kernel does not fit into \(inputHeight)x\(inputWidth) pixels padded by "
                + "\(padding.amount)")
        padding.requireRoom(height: inputHeight, width: inputWidth)
    }

    public var outputHeight: Int { padding.outputLength(inputHeight, kernelSize: kernelSize, stride: stride) }
    public var outputWidth: Int { padding.outputLength(inputWidth, kernelSize: kernelSize, stride: stride) }
    public var outputPixels: Int { outputHeight * outputWidth }
    package var kernelArea: Int { kernelSize * kernelSize }
    package var weightCount: Int { kernelArea * inputChannels * outputChannels }

    /// Ends the process if the tensors' shapes are not this convolution's.
    package func check(input: Tensor, output: Tensor) {
        require(
            input.height == inputHeight && input.width == inputWidth && input.channels == inputChannels,
            "the input is \(input.shape), expected [images, \(inputHeight), \(inputWidth), \(inputChannels)]")
        require(
            output.height == outputHeight && output.width == outputWidth && output.channels == outputChannels
                && output.images == input.images,
            "the output is \(output.shape), expected [\(input.images), \(outputHeight), \(outputWidth), "
                + "\(outputChannels)]")
    }
}
