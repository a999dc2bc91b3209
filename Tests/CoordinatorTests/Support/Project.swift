import Foundation

/// The repository that holds these tests.
enum Project {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// The text of a file, on one line: a line break in the file is as good as a space.
    static func text(_ path: String) throws -> String {
        try String(contentsOf: folder.appendingPathComponent(path), encoding: .utf8).replacing("\n", with: " ")
    }
}
