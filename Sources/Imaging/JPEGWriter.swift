import CJPEG

/// Writes a baseline JPEG with its colour at full resolution from top to bottom, so that the picture need not be in memory
/// as a whole.
public final class JPEGWriter {
    private let width: Int
    private let height: Int
    private let sink: (UnsafeRawBufferPointer) throws -> Void
    private var writer: OpaquePointer?
    private var rowsLeft: Int
    /// Why the sink did not take some bytes.
    private var failure: (any Error)?

    /// - Parameters:
    ///   - quality: 1 to 100; 95 is hard to tell from the original.
    ///   - sink: takes the file's bytes in their order. What it throws, the method that called it throws.
    /// - Throws: `ImagingError` for a size that no JPEG has.
    public init(
        width: Int, height: Int, quality: Int = 95, sink: @escaping (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        self.width = width
        self.height = height
        self.sink = sink
        rowsLeft = height
        try check { message in
            writer = cjpeg_open_writer(
                UInt32(clamping: width), UInt32(clamping: height), Int32(quality),
                { context, bytes, count in
                    guard let context else { return -1 }
                    return Unmanaged<JPEGWriter>.fromOpaque(context).takeUnretainedValue().take(bytes, count)
                }, Unmanaged.passUnretained(self).toOpaque(), &message)
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
        try check { cjpeg_write_rows(writer, samples.baseAddress, UInt32(rows), &$0) }
    }

    /// Ends the file after its last row.
    public func finish() throws {
        precondition(rowsLeft == 0, "a JPEG lacks rows")
        try check { cjpeg_finish_writer(writer, &$0) }
    }

    private func take(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
        do {
            try sink(UnsafeRawBufferPointer(start: bytes, count: count))
            return 0
        } catch {
            failure = error
            return -1
        }
    }

    private func check(_ call: (inout [CChar]) -> Int32) throws {
        var message = CMessage()
        guard call(&message.characters) != 0 else { return }
        if let failure { throw failure }
        throw ImagingError(.encoding, "a \(width)x\(height) image cannot be encoded as JPEG: \(message.text)")
    }
}
