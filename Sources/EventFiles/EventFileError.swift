/// Why an event file cannot be continued.
public struct EventFileError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
        case fileSystem
        /// The disk is full.
        case noSpace
        /// Another process wrote or removed the file: open it again.
        case changed
        /// A snapshot is not an image.
        case badPicture
    }

    public var code: Code
    public var message: String
    public var description: String { message }

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
