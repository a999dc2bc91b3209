import Foundation

/// The largest accepted image, checked before memory for pixels is allocated.
public struct ImageLimits: Sendable {
    public var maxPixels: Int
    public var maxFileBytes: Int
    /// Pixels of either side.
    public var maxSide: Int
    /// Whether the image is an exemplar, which --resize and --crop make smaller.
    private var isOfExemplars = false

    /// 64 Mi pixels, 256 MiB, and libpng's limit of a side: enough for any photograph, too little for a decompression bomb.
    /// What texloom writes it can read again, except for results larger than this, which `expand` writes row by row.
    public static let standard = ImageLimits(maxPixels: 64 << 20, maxFileBytes: 256 << 20)

    /// For a result that is written row by row: 1 Gi pixels. Its last input, a quarter of it, is held in memory.
    public static let result = ImageLimits(maxPixels: 1 << 30, maxFileBytes: .max)

    /// For an exemplar: its snapshots have twice its sides and stay within ``standard``.
    public static let exemplar: ImageLimits = {
        var limits = ImageLimits(
            maxPixels: standard.maxPixels / 4, maxFileBytes: standard.maxFileBytes, maxSide: standard.maxSide / 2)
        limits.isOfExemplars = true
        return limits
    }()

    /// Decoding an interlaced PNG holds 8 bytes a pixel, 128 MiB here, and any other a row. texloom writes none.
    static let maxInterlacedPixels = 16 << 20

    public init(maxPixels: Int, maxFileBytes: Int, maxSide: Int = 1_000_000) {
        self.maxPixels = maxPixels
        self.maxFileBytes = maxFileBytes
        self.maxSide = maxSide
    }

    public func allow(width: Int, height: Int) -> Bool {
        width > 0 && height > 0 && max(width, height) <= maxSide && width <= maxPixels / height
    }

    /// The error for an image that is too large: its size, the limits, what to do.
    public func tooLarge(_ name: String, _ width: Int, _ height: Int) -> ImagingError {
        guard width > 0, height > 0 else {
            return ImagingError(.corrupt, "\(name) has \(width)x\(height) pixels; copy or save it again")
        }
        // The product may not fit an Int.
        let pixels = Double(width) * Double(height)
        let found = "\(name) has \(width)x\(height) pixels (\(Self.megapixels(pixels, .up)) megapixels)"
        let allowed = "at most \(Self.megapixels(Double(maxPixels), .down)) megapixels and sides of \(maxSide)"
        guard isOfExemplars else {
            return ImagingError(.tooLarge, "\(found); an image may have \(allowed): scale it down")
        }
        let longest = longestSide(ofWidth: width, height: height)
        return ImagingError(
            .tooLarge,
            "\(found); an exemplar may have \(allowed), because its snapshots are twice as wide and high: scale it down "
                + "(texloom train and submit do it with --resize \(longest)) or cut a part out of it (--crop WxH+X+Y)")
    }

    /// The error for a JPEG that libjpeg does not read, because of a side.
    func tooLargeJPEG(_ name: String, _ width: Int, _ height: Int) -> ImagingError {
        // --resize, the advice for exemplars, reads the same file.
        guard isOfExemplars || allow(width: width, height: height) else { return tooLarge(name, width, height) }
        return ImagingError(
            .tooLarge,
            "\(name) is a JPEG of \(width)x\(height) pixels; a JPEG may have at most \(Image.maxJPEGSide) a side: scale it "
                + "down, or save it as a PNG")
    }

    func tooManyBytes(_ name: String, _ size: Int) -> ImagingError {
        ImagingError(
            .tooLarge, "\(name) has \(size) bytes; an image file may have at most \(maxFileBytes): scale the image down"
        )
    }

    /// The largest longer side that an image of this shape may have.
    func longestSide(ofWidth width: Int, height: Int) -> Int {
        let (long, short) = (max(width, height), min(width, height))
        var side = min(long, maxSide, Int((Double(maxPixels) * Double(long) / Double(short)).squareRoot()))
        // The shorter side is rounded, perhaps up.
        func area(_ side: Int) -> Int { side * max(1, Int((Double(short) * Double(side) / Double(long)).rounded())) }
        while side > 1, area(side) > maxPixels { side -= 1 }
        return side
    }

    /// Rounded so that the size of a refused image never reads like an allowed one.
    private static func megapixels(_ pixels: Double, _ rule: FloatingPointRoundingRule) -> String {
        String(format: "%.1f", (pixels / 1e5).rounded(rule) / 10)
    }
}
