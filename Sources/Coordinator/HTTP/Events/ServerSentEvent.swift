import Foundation
import Hummingbird
import Protocol

/// One event of a stream in the format of the HTML standard (section 9.2).
struct ServerSentEvent: Sendable {
    /// The position in the stream. A client that reconnects sends it back as Last-Event-ID.
    var id: String
    var name: StreamEventName
    /// JSON on one line.
    var data: Data

    init(id: String, name: StreamEventName, _ value: some Encodable) throws {
        self.id = id
        self.name = name
        data = try APIFormat.encoder.encode(value)
    }

    func write(to buffer: inout ByteBuffer) {
        buffer.writeString("id: \(id)\nevent: \(name.rawValue)\ndata: ")
        buffer.writeBytes(data)
        buffer.writeString("\n\n")
    }

    static func buffer(_ events: [ServerSentEvent]) -> ByteBuffer {
        var buffer = ByteBuffer()
        for event in events { event.write(to: &buffer) }
        return buffer
    }
}
