import Imaging

/// A small copy of a picture, made of its rows as they come. Each pixel is the mean of a square of the picture.
struct PicturePreview {
    /// Pixels of the longer side, at most.
    static let side = 512

    private let width: Int
    private let height: Int
    /// Side of a square.
    private let factor: Int
    private let columns: Int
    /// Of the squares that the next row belongs to.
    private var sums: [Int]
    private var row = 0
    private var pixels: [UInt8] = []

    /// - Parameters:
    ///   - width: of the picture, which is RGB. `height` likewise.
    init(width: Int, height: Int) {
        self.width = width
        self.height = height
        factor = max(1, (max(width, height) + Self.side - 1) / Self.side)
        columns = (width + factor - 1) / factor
        sums = [Int](repeating: 0, count: columns * 3)
        pixels.reserveCapacity(columns * ((height + factor - 1) / factor) * 3)
    }

    /// Takes the next rows.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    mutating func add<Sample: PictureSample>(_ rows: UnsafeBufferPointer<Sample>) {
        precondition(rows.count % (width * 3) == 0)
        for start in stride(from: 0, to: rows.count, by: width * 3) {
            for x in 0..<width {
                let target = x / factor * 3
                for channel in 0..<3 { sums[target + channel] += Int(rows[start + x * 3 + channel]) }
            }
            row += 1
            if row % factor == 0 || row == height { endSquares(shift: Sample.bitWidth - 8) }
        }
    }

    private mutating func endSquares(shift: Int) {
        let rows = (row - 1) % factor + 1
        for index in sums.indices {
            let column = index / 3
            let count = rows * (min(width, (column + 1) * factor) - column * factor)
            pixels.append(UInt8(((sums[index] + count / 2) / count) >> shift))
            sums[index] = 0
        }
    }

    /// After the last row.
    var image: Image {
        precondition(row == height, "a preview lacks rows")
        return Image(width: columns, height: (height + factor - 1) / factor, pixels: pixels)
    }
}
