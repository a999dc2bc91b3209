import Tensors

/// Where the tiles of a convolution lie in its images: the offsets of the samples of each tile row and tile column.
/// Tile rows are numbered across all images.
///
/// Padding happens here: a sample outside the image has the offset of the pixel it stands for, or -1 for a zero.
struct TileTable: @unchecked Sendable {
    let tileColumns: Int
    /// Samples of a tile along each axis.
    let size: Int
    private let rows: UnsafeMutablePointer<Int>
    private let columns: UnsafeMutablePointer<Int>

    /// - Parameters:
    ///   - tileRows: of one image.
    ///   - start: position of the first sample of tile 0.
    ///   - step: distance between the first samples of neighbouring tiles.
    init(
        in arena: Arena, of image: Tensor, tileRows: Int, tileColumns: Int,
        size: Int, start: Int, step: Int, padding: Padding
    ) {
        self.tileColumns = tileColumns
        self.size = size
        rows = arena.integers(image.images * tileRows * size)
        columns = arena.integers(tileColumns * size)
        for tile in 0..<image.images * tileRows {
            let top = tile / tileRows * image.height
            for i in 0..<size {
                let source = padding.source(of: tile % tileRows * step + start + i, length: image.height)
                rows[tile * size + i] = source < 0 ? -1 : (top + source) * image.width * image.channels
            }
        }
        for tile in 0..<tileColumns {
            for i in 0..<size {
                let source = padding.source(of: tile * step + start + i, length: image.width)
                columns[tile * size + i] = source < 0 ? -1 : source * image.channels
            }
        }
    }

    /// The offsets of the rows and columns of a tile, and whether any of its samples is a zero.
    @inline(__always)
    func offsets(of tile: Int) -> (rows: UnsafePointer<Int>, columns: UnsafePointer<Int>, hasZeros: Bool) {
        let rows = UnsafePointer(self.rows + tile / tileColumns * size)
        let columns = UnsafePointer(self.columns + tile % tileColumns * size)
        var sign = 0
        for i in 0..<size { sign |= rows[i] | columns[i] }
        return (rows, columns, sign < 0)
    }
}
