import CPNG

/// Writes a PNG from top to bottom, so that the picture need not be in memory as a whole.
public final class PNGWriter {
    private let width: Int
    private let height: Int
    private let channels: Int
    private let bitDepth: Int
    private let sink: EncoderSink
    private var writer: OpaquePointer?
    private var rowsLeft: Int

    /// The most bytes that a file of this size has, whatever its pixels: those that no compression makes smaller, each row's
    /// filter, and the frames of blocks and chunks, which are less than a 256th of it.
    public static func maxBytes(width: Int, height: Int, channels: Int = 3, bitDepth: Int) -> Int {
        let bytes = height * (1 + width * channels * bitDepth / 8)
        return bytes + bytes / 256 + 4096
    }

    /// - Parameters:
    ///   - channels: 3 for RGB, 1 for grey.
    ///   - bitDepth: 8 or 16.
    ///   - isSRGB: whether the file says that its colours are sRGB.
    ///   - sink: takes the file's bytes in their order. What it throws, the method that called it throws.
    /// - Throws: `ImagingError` for a size that no PNG has.
    public init(
        width: Int, height: Int, channels: Int = 3, bitDepth: Int, isSRGB: Bool = true,
        sink: @escaping (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        precondition((bitDepth == 8 || bitDepth == 16) && (channels == 1 || channels == 3))
        self.width = width
        self.height = height
        self.channels = channels
        self.bitDepth = bitDepth
        self.sink = EncoderSink(problem: "a \(width)x\(height) image cannot be encoded as PNG", sink)
        rowsLeft = height
        try self.sink.check { message in
            writer = cpng_open_writer(
                UInt32(clamping: width), UInt32(clamping: height), Int32(channels), Int32(bitDepth), isSRGB ? 1 : 0,
                { EncoderSink.take($0, $1, $2) }, self.sink.context, &message)
            return writer == nil ? -1 : 0
        }
    }

    deinit { cpng_free_writer(writer) }

    /// The next rows: `width * channels` samples each, of the writer's bit depth.
    /// - Throws: `ImagingError`, or what the sink throws.
    public func write<Sample: PictureSample>(_ samples: UnsafeBufferPointer<Sample>) throws {
        precondition(Sample.bitWidth == bitDepth && samples.count % (width * channels) == 0)
        let rows = samples.count / (width * channels)
        precondition(rows <= rowsLeft, "a PNG gets more rows than it has")
        rowsLeft -= rows
        try sink.check { cpng_write_rows(writer, samples.baseAddress, UInt32(rows), &$0) }
    }

    /// Ends the file after its last row.
    public func finish() throws {
        precondition(rowsLeft == 0, "a PNG lacks rows")
        try sink.check { cpng_finish_writer(writer, &$0) }
    }
}
