import CArguments
import ClusterCore
import Foundation
import TextureGAN

/// File names are bytes, and names from old archives may not be UTF-8. Such a name passes through the program as text in
/// which a private-use character (U+10FE80 to U+10FEFF) stands for each byte that is not UTF-8.
enum FileName {
    private static let firstByte: UInt32 = 0x10FE00
    /// The longest name that Linux's file systems take.
    static let maxBytes = 255

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
            // The parser has read ahead: begin again after the decoded bytes.
            parser = Unicode.UTF8.ForwardParser()
        }
        return String(text)
    }

    static func bytes(of text: String) -> [UInt8] {
        text.unicodeScalars.flatMap { scalar in byte(scalar).map { [$0] } ?? Array(String(scalar).utf8) }
    }

    /// For system calls.
    static func cString(_ text: String) -> [CChar] { bytes(of: text).map { CChar(bitPattern: $0) } + [0] }

    /// For messages: `caf\xE9.png`.
    static func readable(_ text: String) -> String {
        guard !isText(text) else { return text }
        return text.unicodeScalars.map { scalar in
            byte(scalar).map { String(format: "\\x%02X", $0) } ?? String(scalar)
        }.joined()
    }

    /// The name without its folders, as valid UTF-8 text.
    static func last(of path: String) -> String { plain(path).lastPathComponent }

    /// The folder of a path's last component: "." for a name alone. Foundation's NSString traps for a name of one
    /// character.
    static func parent(ofPath path: String) -> String {
        let scalars = path.unicodeScalars
        guard let slash = scalars.lastIndex(of: "/") else { return "." }
        return slash == scalars.startIndex ? "/" : String(scalars[..<slash])
    }

    /// A path's last component, whatever its bytes: what follows the last slash.
    static func lastComponent(ofPath path: String) -> String {
        let scalars = path.unicodeScalars
        return String(scalars.lastIndex(of: "/").map { scalars[scalars.index(after: $0)...] } ?? scalars[...])
    }

    /// What the results of an exemplar are named after; see `MaterialFiles.resultName`.
    static func stem(of path: String) -> String { MaterialFiles.resultName(of: last(of: path)) }

    /// A name that others gave, as the name of one file or folder: without slashes and zero bytes. By scalars: a slash
    /// and an accent after it are one character, which is not equal to a slash.
    static func component(_ name: String) -> String {
        String(String.UnicodeScalarView(name.unicodeScalars.map { $0 == "/" || $0 == "\0" ? "_" : $0 }))
    }

    /// A name, cut to what a file system takes. It keeps its extension.
    static func shortened(_ name: String, to limit: Int = maxBytes) -> String {
        guard name.utf8.count > limit else { return name }
        let end = name.lastIndex(of: ".") ?? name.endIndex
        // After a point far from the end comes no extension.
        guard name[end...].utf8.count <= 16 else { return name.shortened(to: limit) }
        return String(name[..<end]).shortened(to: limit - name[end...].utf8.count) + String(name[end...])
    }

    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(cString(path), &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// A path by which code that takes text names alone can read an existing file. A file whose name is not text is
    /// opened for that; its descriptor stays open until the caller closes it.
    static func opened(_ path: String) -> (url: URL, descriptor: Int32?) {
        guard !isText(path) else { return (URL(fileURLWithPath: path), nil) }
        let descriptor = open(cString(path), O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return (URL(fileURLWithPath: readable(path)), nil) }
        return (URL(fileURLWithPath: "/proc/self/fd/\(descriptor)"), descriptor)
    }

    /// The path with a replacement character for each byte that is not text.
    static func plain(_ path: String) -> URL {
        URL(
            fileURLWithPath: String(
                String.UnicodeScalarView(path.unicodeScalars.map { byte($0) == nil ? $0 : "\u{FFFD}" })))
    }

    static func isText(_ text: String) -> Bool { !text.unicodeScalars.contains { byte($0) != nil } }

    private static func byte(_ scalar: Unicode.Scalar) -> UInt8? {
        (firstByte + 0x80...firstByte + 0xFF).contains(scalar.value) ? UInt8(scalar.value - firstByte) : nil
    }
}

extension CommandLine {
    /// The arguments as given; `arguments` has lost the bytes that are not UTF-8, and may be empty (CArguments).
    static var exactArguments: [String] {
        var arguments: [String] = []
        var next = texloom_arguments()!
        while let argument = next.pointee {
            arguments.append(FileName.text(of: Data(bytes: argument, count: strlen(argument))))
            next += 1
        }
        return Array(arguments.dropFirst())
    }
}
