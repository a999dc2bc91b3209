import Imaging

/// The axes along which an image repeats: its last column (or row) is followed by its first.
public struct TorusAxes: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }
    /// Left and right borders join.
    public static let x = TorusAxes(rawValue: 1)
    /// Top and bottom borders join.
    public static let y = TorusAxes(rawValue: 2)
    public static let both: TorusAxes = [.x, .y]
}

extension Raster {
    /// The image moved right and down; what leaves at one border comes back at the opposite one.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    public func rolled(x: Int, y: Int) -> Raster { window(x: -x, y: -y, width: width, height: height) }

    /// The window of the endlessly repeated image whose first pixel is (x, y).
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    public func window(x: Int, y: Int, width: Int, height: Int) -> Raster {
        var result: [Sample] = []
        result.reserveCapacity(width * height * channels)
        let first = Self.modulo(x, self.width)
        for row in y..<y + height {
            let line = Self.modulo(row, self.height) * self.width
            var (column, left) = (first, width)
            while left > 0 {
                let count = min(left, self.width - column)
                result += pixels[(line + column) * channels..<(line + column + count) * channels]
                left -= count
                column = 0
            }
        }
        return Raster(width: width, height: height, channels: channels, pixels: result)
    }

    /// Rows become columns.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    func transposed() -> Raster {
        var result = [Sample](repeating: 0, count: pixels.count)
        for y in 0..<height {
            for x in 0..<width {
                for channel in 0..<channels {
                    result[(x * height + y) * channels + channel] = pixels[(y * width + x) * channels + channel]
                }
            }
        }
        return Raster(width: height, height: width, channels: channels, pixels: result)
    }

    private static func modulo(_ value: Int, _ count: Int) -> Int { (value % count + count) % count }
}
