import Tensors

/// Products with a matrix packed into panels for our own microkernel. Each result is a chain of fused multiply-adds in
/// ascending order of the inner dimension, so it does not depend on the processor, and equal columns have equal results.
public enum PanelProduct {
    /// Columns of a panel.
    public static let width = 16

    /// The number of panels that hold `columns`.
    @inline(__always)
    public static func panels(columns: Int) -> Int { (columns + width - 1) / width }

    /// `c[row, 16 panel + lane] (+)= sum over k of a[row, k] * b[panel][k][lane]`.
    /// - Parameters:
    ///   - b: `[c.columns / 16, a.columns, 16]`; lanes past the last column must be readable and finite.
    ///   - c: `columns` a multiple of 16. Must not alias `a` or `b`.
    public static func multiply(_ a: Matrix, panels b: UnsafePointer<Float>, into c: Matrix, accumulate: Bool = false) {
        vectorKernels.multiply(a, panels: b, into: c, accumulate: accumulate)
    }
}
