import Imaging
import NNCore

/// The part of a generator's output that counts, in pixels of the output.
struct OutputWindow: Equatable {
    let x: Int
    let y: Int
    let width: Int
    let height: Int

    init(x: Int, y: Int, width: Int, height: Int) {
        self.x = x
        self.y = y
        self.width = width
        self.height = height
    }

    /// All but what the image was padded with.
    init<Sample>(of image: Raster<Sample>) {
        self.init(x: 0, y: 0, width: 2 * image.width, height: 2 * image.height)
    }

    /// The rows of the window that rows of the input expand to.
    func rows(ofInput rows: Range<Int>) -> Range<Int> {
        let first = min(max(0, 2 * rows.lowerBound - y), height)
        return first..<min(max(first, 2 * rows.upperBound - y), height)
    }
}

/// Rows of a window, filled part by part.
struct Band<Sample: PictureSample> {
    private let window: OutputWindow
    private let channels: Int
    /// Rows of the window.
    let rows: Range<Int>
    private(set) var pixels: [Sample]

    init(of window: OutputWindow, rows: Range<Int>, channels: Int) {
        self.window = window
        self.channels = channels
        self.rows = rows
        pixels = [Sample](repeating: 0, count: rows.count * window.width * channels)
    }

    /// Takes what lies in the band.
    /// - Parameters:
    ///   - top: row of the output where the part's piece begins. `left` likewise.
    ///   - columns: columns of the output to take.
    mutating func add(_ part: PiecewiseInference.Part, top: Int, left: Int, columns: Range<Int>) {
        // Where the part's first column and row lie in the window.
        let (x, y) = (left + part.x - window.x, top + part.y - window.y)
        let taken =
            max(
                0, x, columns.lowerBound - window.x)..<max(
                0, x, columns.lowerBound - window.x,
                min(window.width, x + part.columns.count, columns.upperBound - window.x))
        let (width, channels) = (window.width, channels)
        pixels.withUnsafeMutableBufferPointer { pixels in
            for row in part.rows {
                let target = y + row - part.rows.lowerBound
                guard rows.contains(target) else { continue }
                let source = part.piece.data + (row * part.piece.width + part.columns.lowerBound - x) * channels
                let start = (target - rows.lowerBound) * width * channels
                for index in channels * taken.lowerBound..<channels * taken.upperBound {
                    pixels[start + index] = Sample.nearest(to: source[index])
                }
            }
        }
    }
}
