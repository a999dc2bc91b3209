import CJPEG

extension Image {
    /// The longest side of a JPEG that libjpeg encodes, in pixels.
    public static var maxJPEGSide: Int { Int(CJPEG_MAX_SIDE) }
}

/// Writes a baseline JPEG with its colour at full resolution from top to bottom, so that the picture need not be in memory
/// as a whole.
public final class JPEGWriter {
    private let width: Int
    private let height: Int
    private let sink: EncoderSink
    private var writer: OpaquePointer?
    private var rowsLeft: Int

    /// - Parameters:
    ///   - quality: 1 to 100; 95 is hard to tell from the original.
    ///   - sink: takes the file's bytes in their order. What it throws, the method that called it throws.
    /// - Throws: `ImagingError` for a size that no JPEG has.
    public init(
        width: Int, height: Int, quality: Int = 95, sink: @escaping (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        self.width = width
        self.height = height
        self.sink = EncoderSink(problem: "a \(width)x\(height) image cannot be encoded as JPEG", sink)
        rowsLeft = height
        try self.sink.check { message in
            writer = cjpeg_open_writer(
                UInt32(clamping: width), UInt32(clamping: height), Int32(quality),
                { EncoderSink.take($0, $1, $2) }, self.sink.context, &message)
            return writer == nil ? -1 : 0
        }
    }

    deinit { cjpeg_free_writer(writer) }

    /// The next rows: `width * 3` samples each.
    /// - Throws: `ImagingError`, or what the sink throws.
    public func write(_ samples: UnsafeBufferPointer<UInt8>) throws {
        precondition(samples.count % (width * 3) == 0)
        let rows = samples.count / (width * 3)
        precondition(rows <= rowsLeft, "a JPEG gets more rows than it has")
        rowsLeft -= rows
        try sink.check { cjpeg_write_rows(writer, samples.baseAddress, UInt32(rows), &$0) }
    }

    /// Ends the file after its last row.
    public func finish() throws {
        precondition(rowsLeft == 0, "a JPEG lacks rows")
        try sink.check { cjpeg_finish_writer(writer, &$0) }
    }
}
