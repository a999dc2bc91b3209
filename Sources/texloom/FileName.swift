import Foundation

/// Names of files are bytes, and those of old archives are no UTF-8. Such a name goes through the program as text in
/// which a character of a private plane (U+10FE80 to U+10FEFF) stands for each byte that is none.
enum FileName {
    private static let firstByte: UInt32 = 0x10FE00

    static func text(of bytes: some Sequence<UInt8>) -> String {
        var text = String.UnicodeScalarView()
        var parser = Unicode.UTF8.ForwardParser()
        var rest = Array(bytes)[...]
        while let first = rest.first {
            var input = rest.makeIterator()
            if case .valid(let encoded) = parser.parseScalar(from: &input) {
                text.append(Unicode.UTF8.decode(encoded))
                rest = rest.dropFirst(encoded.count)
            } else {
                text.append(Unicode.Scalar(firstByte + UInt32(first))!)
                rest = rest.dropFirst()
            }
            // It has looked ahead.
            parser = Unicode.UTF8.ForwardParser()
        }
        return String(text)
    }

    static func bytes(of text: String) -> [UInt8] {
        text.unicodeScalars.flatMap { scalar in byte(scalar).map { [$0] } ?? Array(String(scalar).utf8) }
    }

    /// For calls of the system.
    static func cString(_ text: String) -> [CChar] { bytes(of: text).map { CChar(bitPattern: $0) } + [0] }

    /// For messages: `caf\xE9.png`.
    static func readable(_ text: String) -> String {
        guard !isText(text) else { return text }
        return text.unicodeScalars.map { scalar in
            byte(scalar).map { String(format: "\\x%02X", $0) } ?? String(scalar)
        }.joined()
    }

    /// The name without its folders, as text that any program takes.
    static func last(of path: String) -> String { plain(path).lastPathComponent }

    /// The same without its extension.
    static func stem(of path: String) -> String { plain(path).deletingPathExtension().lastPathComponent }

    /// Where a file that exists can be read by programs that know names as text only. A name that is no text is opened
    /// instead; the descriptor stays open with the process, unless it is closed.
    static func opened(_ path: String) -> (url: URL, descriptor: Int32?) {
        guard !isText(path) else { return (URL(fileURLWithPath: path), nil) }
        let descriptor = open(cString(path), O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return (URL(fileURLWithPath: readable(path)), nil) }
        return (URL(fileURLWithPath: "/proc/self/fd/\(descriptor)"), descriptor)
    }

    /// The path with a replacement character for each byte that is no text.
    static func plain(_ path: String) -> URL {
        URL(
            fileURLWithPath: String(
                String.UnicodeScalarView(path.unicodeScalars.map { byte($0) == nil ? $0 : "\u{FFFD}" })))
    }

    private static func isText(_ text: String) -> Bool { !text.unicodeScalars.contains { byte($0) != nil } }

    private static func byte(_ scalar: Unicode.Scalar) -> UInt8? {
        (firstByte + 0x80...firstByte + 0xFF).contains(scalar.value) ? UInt8(scalar.value - firstByte) : nil
    }
}

extension CommandLine {
    /// The arguments as they were given; `arguments` has lost the bytes that are no UTF-8.
    static var exactArguments: [String] {
        (1..<max(1, Int(argc))).compactMap { index in
            unsafeArgv[index].map { FileName.text(of: Data(bytes: $0, count: strlen($0))) }
        }
    }
}
