import Foundation

/// Takes a file's bytes from an encoder in C, which no Swift error can pass.
final class EncoderSink {
    private let sink: (UnsafeRawBufferPointer) throws -> Void
    /// "a 3x4 image cannot be encoded as PNG".
    private let problem: String
    /// Why the sink did not take some bytes.
    private var failure: (any Error)?

    /// - Parameter sink: what it throws, ``check(_:)`` throws.
    init(problem: String, _ sink: @escaping (UnsafeRawBufferPointer) throws -> Void) {
        self.problem = problem
        self.sink = sink
    }

    /// For ``take(_:_:_:)``, as long as this object lives.
    var context: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

    /// - Returns: 0, or -1 to end the encoding.
    static func take(_ context: UnsafeMutableRawPointer?, _ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
        guard let context else { return -1 }
        let sink = Unmanaged<EncoderSink>.fromOpaque(context).takeUnretainedValue()
        do {
            try sink.sink(UnsafeRawBufferPointer(start: bytes, count: count))
            return 0
        } catch {
            sink.failure = error
            return -1
        }
    }

    /// - Parameter call: returns 0 unless it fails, for the sink's failure or one that it describes.
    /// - Throws: `ImagingError`, or what the sink has thrown.
    func check(_ call: (inout [CChar]) -> Int32) throws {
        var message = CMessage()
        guard call(&message.characters) != 0 else { return }
        if let failure { throw failure }
        throw ImagingError(.encoding, "\(problem): \(message.text)")
    }
}
