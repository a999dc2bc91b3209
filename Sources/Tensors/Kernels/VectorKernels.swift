/// The kernels that exist once for each width of vectors: one source, compiled for each (decision 17).
///
/// Every implementation gives the same bytes. `Kernels` chooses one when the program starts; its functions say what each
/// of these does.
package protocol VectorKernels: Sendable {
    /// `output = activation(input * weight + bias) [+ residual]`.
    static func forward(
        _ method: ConvolutionMethod, input: Tensor, padding: Padding, weight: UnsafePointer<Float>, output: Tensor,
        bias: UnsafePointer<Float>?, _ activation: Activation, adding residual: Tensor?, in workspace: Workspace)

    /// Overwrites `dInput`.
    static func inputGradient(
        _ method: ConvolutionMethod, dOutput: Tensor, rectified: Tensor?, weight: UnsafePointer<Float>,
        padding: Padding, dInput: Tensor, in workspace: Workspace)

    /// Adds to `dWeight`.
    static func weightGradient(
        _ method: ConvolutionMethod, input: Tensor, padding: Padding, dOutput: Tensor,
        dWeight: UnsafeMutablePointer<Float>, in workspace: Workspace)

    /// `tensor = activation(tensor + bias) [+ residual]`.
    static func finish(
        _ tensor: Tensor, bias: UnsafePointer<Float>?, _ activation: Activation, adding residual: Tensor?,
        in workspace: Workspace)

    static func gramMatrix(_ features: Tensor, into gram: UnsafeMutablePointer<Float>, in workspace: Workspace)

    static func gramGradient(
        _ features: Tensor, dGram: UnsafePointer<Float>, into dFeatures: Tensor, accumulate: Bool,
        in workspace: Workspace)

    /// `c = a b` (or `c += a b`), `a` transposed on request, on the calling thread, each sum in ascending order.
    static func multiply(_ a: Matrix, transposed: Bool, _ b: Matrix, into c: Matrix, accumulate: Bool)

    static func multiply(_ a: Matrix, panels b: UnsafePointer<Float>, into c: Matrix, accumulate: Bool)
}
