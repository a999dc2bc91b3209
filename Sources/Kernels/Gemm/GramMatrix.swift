import Tensors

/// The Gram matrix of a feature map: `F^T F / (H W)`, `[C, C]`, F being the map as `[H W, C]`.
public enum GramMatrix {
    /// Takes one image. Pixels are cut into at most eight parts whose products are added in order.
    /// - Parameter gram: `[C, C]`, overwritten.
    public static func forward(_ features: Tensor, into gram: UnsafeMutablePointer<Float>, in workspace: Workspace) {
        vectorKernels.gramMatrix(features, into: gram, in: workspace)
    }

    /// `dFeatures = F (dG + dG^T) / (H W)`, for a symmetric `dGram`: `2 F dG / (H W)`.
    /// - Parameter accumulate: whether to add to `dFeatures` or overwrite it.
    public static func backward(
        _ features: Tensor, dGram: UnsafeMutablePointer<Float>, into dFeatures: Tensor, accumulate: Bool,
        in workspace: Workspace
    ) {
        vectorKernels.gramGradient(
            features, dGram: dGram, into: dFeatures, accumulate: accumulate, in: workspace)
    }
}
