import Foundation
import Protocol

/// An event of a stream as the HTML standard reads it (section 9.2.6).
struct StreamEvent: Sendable, Equatable {
    /// The position from which the server continues for a returning client.
    var id: String
    /// nil for an event that this client does not know.
    var name: StreamEventName?
    var data: String
}

/// Parses the bytes of an event stream, which arrive in arbitrary pieces.
struct StreamEventParser: Sendable {
    private var line: [UInt8] = []
    private var endedInReturn = false
    private var lastID = ""
    private var name = ""
    private var data: [String] = []

    mutating func feed(_ bytes: some Sequence<UInt8>) -> [StreamEvent] {
        var events: [StreamEvent] = []
        for byte in bytes {
            // A line ends in LF, CR or both.
            let isSecondHalf = endedInReturn && byte == 0x0A
            endedInReturn = byte == 0x0D
            if isSecondHalf { continue }
            guard byte == 0x0A || byte == 0x0D else {
                line.append(byte)
                continue
            }
            if let event = take(String(decoding: line, as: UTF8.self)) { events.append(event) }
            line.removeAll(keepingCapacity: true)
        }
        return events
    }

    private mutating func take(_ line: String) -> StreamEvent? {
        guard !line.isEmpty else {
            defer { (name, data) = ("", []) }
            guard !data.isEmpty else { return nil }
            return StreamEvent(id: lastID, name: StreamEventName(rawValue: name), data: data.joined(separator: "\n"))
        }
        let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        var value = parts.count > 1 ? parts[1] : ""
        if value.hasPrefix(" ") { value = value.dropFirst() }
        switch parts[0] {
        case "id": lastID = String(value)
        case "event": name = String(value)
        case "data": data.append(String(value))
        // Comments and unknown fields.
        default: break
        }
        return nil
    }
}
