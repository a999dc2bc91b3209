/// A fast way to compute convolutions of a kernel size and stride.
///
/// Weights are `[kernelSize, kernelSize, inputChannels, outputChannels]`; any number of channels, fastest in multiples
/// of 16. Scratch comes from the workspace's arena and is given back. The same bytes for any number of threads and any
/// width of vectors.
///
/// - Accuracy: of the Winograd methods 6e-6 of the largest result at most, 1.5e-6 rms, asserted in `WinogradTests`; of
///   the others that of a plain float sum.
/// - Source: Lavin & Gray, arXiv:1509.09308.
public enum ConvolutionMethod: Sendable, Hashable {
    /// 3x3, stride 1, by Winograd F(4x4, 3x3): a quarter of the multiplications.
    case winograd3x3
    /// 4x4, stride 1, by Winograd F(3x3, 4x4): a quarter of the multiplications.
    case winograd4x4
    /// 3x3, stride 2: odd samples directly, even samples by F(4, 2); 1.78 times fewer multiplications.
    case winograd3x3Stride2
    /// 4x4, stride 2, as a 2x2 convolution of the four pixel phases by Winograd F(4x4, 2x2): 2.56 times fewer
    /// multiplications.
    case winograd4x4Stride2
    /// Few input channels (an image's 3, say), any kernel size and stride: one product, which reads the patches of the
    /// input where they overlap.
    case fewInputs(kernelSize: Int, stride: Int = 1)
    /// Few output channels, stride 1: as few inputs, with the roles of input and output exchanged in the gradients.
    case fewOutputs(kernelSize: Int)
}
