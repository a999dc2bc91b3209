import Base
import Foundation

/// An entry of an event file.
public struct Event: Sendable, Equatable {
    /// Unix seconds, for display only.
    public var wallTime: Double
    /// The iteration.
    public var step: Int
    public var content: Content

    public enum Content: Sendable, Equatable {
        /// Training resumes before this step: the file's earlier records of this and later steps no longer count.
        case start(note: String)
        /// Values by tag.
        case scalars([String: Float])
        case image(tag: String, Picture)
    }

    public init(wallTime: Double, step: Int, _ content: Content) {
        self.wallTime = wallTime
        self.step = step
        self.content = content
    }

    /// A PNG and its size.
    public struct Picture: Sendable, Equatable {
        public var width: Int
        public var height: Int
        public var png: Data
    }
}

/// Numbers of TensorFlow's event.proto and summary.proto.
private enum Field {
    static let wallTime: UInt64 = 1
    static let step: UInt64 = 2
    static let fileVersion: UInt64 = 3
    static let summary: UInt64 = 5
    static let sessionLog: UInt64 = 7

    static let sessionStatus: UInt64 = 1
    static let sessionMessage: UInt64 = 3
    static let sessionStart: UInt64 = 1

    static let summaryValue: UInt64 = 1
    static let tag: UInt64 = 1
    static let simpleValue: UInt64 = 2
    static let image: UInt64 = 4

    static let imageHeight: UInt64 = 1
    static let imageWidth: UInt64 = 2
    static let imageColourSpace: UInt64 = 3
    static let imagePNG: UInt64 = 4
    static let rgb: UInt64 = 3
}

extension Event {
    /// The message that a file begins with.
    static func version(wallTime: Double) -> Data {
        var message = ProtobufWriter()
        message.add(Field.wallTime, finite(wallTime))
        message.add(Field.fileVersion, "brain.Event:2")
        return message.data
    }

    var encoded: Data {
        var message = ProtobufWriter()
        message.add(Field.wallTime, Self.finite(wallTime))
        message.add(Field.step, UInt64(max(0, step)))
        switch content {
        case .start(let note):
            message.add(Field.sessionLog) {
                $0.add(Field.sessionStatus, Field.sessionStart)
                $0.add(Field.sessionMessage, note)
            }
        case .scalars(let values):
            message.add(Field.summary) { summary in
                for (tag, value) in values.sorted(by: { $0.key < $1.key }) {
                    summary.add(Field.summaryValue) {
                        $0.add(Field.tag, tag)
                        $0.add(Field.simpleValue, value)
                    }
                }
            }
        case .image(let tag, let picture):
            message.add(Field.summary) { summary in
                summary.add(Field.summaryValue) { value in
                    value.add(Field.tag, tag)
                    value.add(Field.image) {
                        $0.add(Field.imageHeight, UInt64(picture.height))
                        $0.add(Field.imageWidth, UInt64(picture.width))
                        $0.add(Field.imageColourSpace, Field.rgb)
                        $0.add(Field.imagePNG, picture.png)
                    }
                }
            }
        }
        return message.data
    }

    /// Times come from other machines; TensorBoard computes with them.
    private static func finite(_ seconds: Double) -> Double { seconds.isFinite ? seconds : 0 }
}

/// What an event file has to know of a written event before it appends the next one.
struct EventOutline: Equatable {
    var step = 0
    /// The note of a start; nil for every other event.
    var start: String?
    var hasScalars = false
    var hasImage = false

    init(_ message: Data) {
        for (field, value) in ProtobufFields(message) {
            switch (field, value) {
            case (Field.step, .number(let number)): step = Int(exactly: number) ?? 0
            case (Field.sessionLog, .bytes(let log)): start = Self.start(log)
            case (Field.summary, .bytes(let summary)):
                for case (Field.summaryValue, .bytes(let value)) in ProtobufFields(summary) {
                    for (field, _) in ProtobufFields(value) {
                        if field == Field.simpleValue { hasScalars = true }
                        if field == Field.image { hasImage = true }
                    }
                }
            default: break
            }
        }
    }

    private static func start(_ log: Data) -> String? {
        var isStart = false
        var note = ""
        for (field, value) in ProtobufFields(log) {
            switch (field, value) {
            case (Field.sessionStatus, .number(let status)): isStart = status == Field.sessionStart
            case (Field.sessionMessage, .bytes(let text)): note = String(decoding: text, as: UTF8.self)
            default: break
            }
        }
        return isStart ? note : nil
    }
}
