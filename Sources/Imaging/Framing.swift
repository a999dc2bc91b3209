/// Which part of a photograph becomes the exemplar, and how far it is scaled down.
public struct Framing: Sendable, Equatable {
    /// A window in pixels, measured from the top left corner of the upright picture.
    public struct Window: Sendable, Equatable, CustomStringConvertible {
        public var width: Int
        public var height: Int
        /// Nil: in the middle.
        public var corner: Corner?

        public struct Corner: Sendable, Equatable {
            public var x: Int
            public var y: Int
        }

        /// `WxH+X+Y`, or `WxH` for the middle; nil for anything else.
        public init?(_ text: String) {
            let parts = text.split(separator: "+", omittingEmptySubsequences: false)
            let sides = parts[0].split(separator: "x", omittingEmptySubsequences: false).map(Self.number)
            guard parts.count == 1 || parts.count == 3, sides.count == 2, let width = sides[0], let height = sides[1],
                width > 0, height > 0
            else { return nil }
            (self.width, self.height) = (width, height)
            guard parts.count == 3 else { return }
            guard let x = Self.number(parts[1]), let y = Self.number(parts[2]) else { return nil }
            corner = Corner(x: x, y: y)
        }

        /// Digits only, and few enough that sums do not overflow.
        private static func number(_ text: Substring) -> Int? {
            guard (1...9).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
                return nil
            }
            return Int(text)
        }

        public var description: String { "\(width)x\(height)" + (corner.map { "+\($0.x)+\($0.y)" } ?? "") }
    }

    public var crop: Window?
    /// Pixels that the longer side may have, after the crop. Nothing is enlarged.
    public var longestSide: Int?

    public init(crop: Window? = nil, longestSide: Int? = nil) {
        self.crop = crop
        self.longestSide = longestSide
    }

    /// Whether the whole picture is used as it is.
    public var isEmpty: Bool { crop == nil && longestSide == nil }

    /// The part of a picture.
    /// - Parameter name: what to call the picture in errors.
    /// - Throws: `.outside` if the window does not lie in the picture.
    public func frame<Sample>(_ image: Raster<Sample>, name: String) throws(ImagingError) -> Raster<Sample> {
        var image = image
        if let crop {
            let x = crop.corner?.x ?? (image.width - crop.width) / 2
            let y = crop.corner?.y ?? (image.height - crop.height) / 2
            guard crop.width <= image.width - x, crop.height <= image.height - y, x >= 0, y >= 0 else {
                throw ImagingError(
                    .outside,
                    "\(name) has \(image.width)x\(image.height) pixels, and the window \(crop) does not lie within: "
                        + "give a smaller one")
            }
            image = image.cropped(x: x, y: y, width: crop.width, height: crop.height)
        }
        if let longestSide { image = image.thumbnail(longestSide: longestSide) }
        return image
    }
}
