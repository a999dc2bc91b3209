/// A view of a dense row-major matrix.
public struct Matrix {
    public let data: UnsafeMutablePointer<Float>
    public let rows: Int
    public let columns: Int
    /// Distance between rows, in floats.
    public let stride: Int

    @inlinable
    public init(_ data: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int? = nil) {
        self.data = data
        self.rows = rows
        self.columns = columns
        self.stride = stride ?? columns
    }
}
