import Foundation
import OperatingSystem

/// A command's output file: checked before the work, written after it.
///
/// A regular file is replaced completely or not at all. Of a link, the file behind it is replaced. Pipes and character
/// devices are written to. "-" is standard output.
struct OutputFile {
    private enum Place {
        case standardOutput
        /// The target is not a regular file, or its folder is not writable.
        case inPlace
        /// `replaced` is nil for a new file.
        case file(String, replaced: stat?)
    }

    let path: String
    var isStandardOutput: Bool { path == "-" }

    /// - Parameter inputs: files that the command reads, which must not be overwritten.
    /// - Throws: `CommandFailure` saying why the file cannot be written.
    init(_ path: String, sparing inputs: [String] = []) throws {
        self.path = path
        _ = try place()
        var target = stat()
        guard stat(FileName.cString(path), &target) == 0, target.st_mode & S_IFMT == S_IFREG else { return }
        for input in inputs {
            var source = stat()
            if stat(FileName.cString(input), &source) == 0, source.st_dev == target.st_dev,
                source.st_ino == target.st_ino
            {
                throw CommandFailure("\(path) is the input \(input) itself; name another file", exit: .usage)
            }
        }
    }

    /// - Throws: `CommandFailure` naming the file and the system's reason.
    func write(_ data: Data) throws {
        let writing = try open()
        try writing.write(data)
        try writing.finish()
    }

    /// Begins to write; the file is complete after `finish`.
    /// - Throws: `CommandFailure` naming the file and the system's reason.
    func open() throws -> Writing {
        switch try place() {
        case .standardOutput: return Writing(self, descriptor: STDOUT_FILENO)
        case .inPlace:
            let descriptor = Foundation.open(FileName.cString(path), O_WRONLY | O_NOCTTY | O_CLOEXEC)
            guard descriptor >= 0 else { throw failure() }
            return Writing(self, descriptor: descriptor)
        case .file(let target, let replaced):
            return Writing(self, new: try NewFile(at: target, shown: path, replacing: replaced))
        }
    }

    /// A file that is being written.
    final class Writing {
        private let file: OutputFile
        private let descriptor: Int32
        private let new: NewFile?
        private var hasBegun = false

        fileprivate init(_ file: OutputFile, descriptor: Int32 = -1, new: NewFile? = nil) {
            self.file = file
            self.descriptor = descriptor
            self.new = new
        }

        deinit { if descriptor >= 0, descriptor != STDOUT_FILENO { close(descriptor) } }

        /// - Throws: `CommandFailure` naming the file and the system's reason.
        func write(_ bytes: some ContiguousBytes) throws {
            if let new { return try new.write(bytes) }
            if !hasBegun, descriptor != STDOUT_FILENO {
                // Not before there is something to write: the work may fail. Pipes and devices have no length.
                _ = ftruncate(descriptor, 0)
                hasBegun = true
            }
            guard let error = writeAll(bytes, into: descriptor) else { return }
            // A reader may leave when it has enough.
            if error == EPIPE, file.isStandardOutput { return }
            throw file.failure(error)
        }

        /// Makes what was written durable. `finish` does so, too; this is for several files that get their names together.
        /// - Throws: `CommandFailure` naming the file and the system's reason.
        func sync() throws {
            if let new { return try new.sync() }
            if let error = syncAll(descriptor) { throw file.failure(error) }
        }

        /// - Throws: `CommandFailure` naming the file and the system's reason.
        func finish() throws {
            if let new { try new.place() } else { try sync() }
        }
    }

    private func place() throws -> Place {
        if isStandardOutput {
            guard isatty(STDOUT_FILENO) == 0 else {
                throw CommandFailure(
                    "standard output is a terminal; expected a file or a pipe: ... -o - > FILE", exit: .usage)
            }
            return .standardOutput
        }
        var status = stat()
        guard stat(FileName.cString(path), &status) == 0 else {
            guard errno == ENOENT, !path.isEmpty else { throw failure() }
            return try newFile(at: endOfLinks())
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return try existingFile(status)
        case S_IFCHR, S_IFIFO:
            guard access(FileName.cString(path), W_OK) == 0 else { throw failure() }
            return .inPlace
        case S_IFDIR: throw CommandFailure("\(path) is a folder; expected a file", exit: .usage)
        default: throw CommandFailure("\(path) is a disk or a socket; expected a file", exit: .usage)
        }
    }

    private func existingFile(_ status: stat) throws -> Place {
        // Also for root, who could write to it.
        guard status.st_mode & 0o222 != 0 else {
            throw CommandFailure("\(path) is write-protected; name another file, or 'chmod u+w' it")
        }
        guard access(FileName.cString(path), W_OK) == 0 else { throw failure() }
        guard let resolved = realpath(FileName.cString(path), nil) else { throw failure() }
        defer { free(resolved) }
        let target = FileName.text(of: Data(bytes: resolved, count: strlen(resolved)))
        var found = stat()
        // A file without a name, which /dev/stdout may lead to, can only be written in place.
        guard stat(FileName.cString(target), &found) == 0, found.st_ino == status.st_ino, found.st_dev == status.st_dev,
            access(FileName.cString(FileName.parent(ofPath: target)), W_OK | X_OK) == 0
        else { return .inPlace }
        return .file(target, replaced: status)
    }

    private func newFile(at target: String) throws -> Place {
        let folder = FileName.parent(ofPath: target)
        var status = stat()
        guard !target.hasSuffix("/"), stat(FileName.cString(folder), &status) == 0,
            status.st_mode & S_IFMT == S_IFDIR
        else {
            throw CommandFailure("\(path) cannot be written: its folder does not exist", exit: .usage)
        }
        guard access(FileName.cString(folder), W_OK | X_OK) == 0 else { throw failure() }
        return .file(target, replaced: nil)
    }

    /// The target of a dangling link; the path itself if it is not a link.
    private func endOfLinks() throws -> String {
        var end = path
        for _ in 0..<40 {
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
            let count = readlink(FileName.cString(end), &buffer, buffer.count)
            guard count > 0 else { break }
            let next = FileName.text(of: buffer.prefix(count).map { UInt8(bitPattern: $0) })
            end = next.hasPrefix("/") ? next : "\(FileName.parent(ofPath: end))/\(next)"
        }
        return end
    }

    /// - Parameter error: the last system call's.
    private func failure(_ error: Int32 = errno) -> CommandFailure {
        CommandFailure("\(isStandardOutput ? "standard output" : path) cannot be written: \(reasonOfSystem(error))")
    }
}

/// Writes a file whole or not at all. - Throws: `CommandFailure` naming the file.
func write(_ data: Data, to url: URL) throws { try OutputFile(url.path).write(data) }
