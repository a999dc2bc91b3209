import Foundation

/// A file that a command is told to write: looked at before the work, written after it.
///
/// A regular file is replaced whole or not at all, and links stay: the file behind them is the one. Pipes and character
/// devices are written into. "-" is standard output.
struct OutputFile {
    private enum Place {
        case standardOutput
        /// What is there is no regular file, or its folder takes no other.
        case inPlace
        /// `replaced` is nil where nothing is yet.
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
        guard stat(path, &target) == 0, target.st_mode & S_IFMT == S_IFREG else { return }
        for input in inputs {
            var source = stat()
            if stat(input, &source) == 0, source.st_dev == target.st_dev, source.st_ino == target.st_ino {
                throw CommandFailure("\(path) is the input \(input) itself; name another file", exit: .usage)
            }
        }
    }

    /// - Throws: `CommandFailure` naming the file and the system's reason.
    func write(_ data: Data) throws {
        switch try place() {
        case .standardOutput: try write(data, into: STDOUT_FILENO)
        case .inPlace:
            let descriptor = open(path, O_WRONLY | O_TRUNC | O_NOCTTY | O_CLOEXEC)
            guard descriptor >= 0 else { throw failure() }
            defer { close(descriptor) }
            try write(data, into: descriptor)
        case .file(let target, let replaced): try replace(target, replaced, by: data)
        }
    }

    private func replace(_ target: String, _ replaced: stat?, by data: Data) throws {
        let folder = (target as NSString).deletingLastPathComponent
        let name = ".texloom-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).partial"
        let temporary = (folder as NSString).appendingPathComponent(name)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw failure() }
        do {
            defer { close(descriptor) }
            if let replaced {
                // Another's file stays another's where the system lets us.
                _ = fchown(descriptor, replaced.st_uid, replaced.st_gid)
                _ = fchmod(descriptor, replaced.st_mode & 0o7777)
            }
            try write(data, into: descriptor)
            guard rename(temporary, target) == 0 else { throw failure() }
        } catch {
            unlink(temporary)
            throw error
        }
    }

    private func write(_ data: Data, into descriptor: Int32) throws {
        var rest = data[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // A reader that has what it wants may leave.
            if count < 0, errno == EPIPE, isStandardOutput { return }
            guard count > 0 else { throw failure() }
            rest = rest.dropFirst(count)
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
        guard stat(path, &status) == 0 else {
            guard errno == ENOENT, !path.isEmpty else { throw failure() }
            return try newFile(at: endOfLinks())
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return try existingFile(status)
        case S_IFCHR, S_IFIFO:
            guard access(path, W_OK) == 0 else { throw failure() }
            return .inPlace
        case S_IFDIR: throw CommandFailure("\(path) is a folder; expected a file", exit: .usage)
        default: throw CommandFailure("\(path) is a disk or a socket; expected a file", exit: .usage)
        }
    }

    private func existingFile(_ status: stat) throws -> Place {
        // Said to root as well, whom the system would let.
        guard status.st_mode & 0o222 != 0 else {
            throw CommandFailure("\(path) is write-protected; name another file, or 'chmod u+w' it")
        }
        guard access(path, W_OK) == 0 else { throw failure() }
        guard let resolved = realpath(path, nil) else { throw failure() }
        defer { free(resolved) }
        let target = String(cString: resolved)
        var found = stat()
        // A file without a name of its own, such as /dev/stdout may lead to, can only be written as it is.
        guard stat(target, &found) == 0, found.st_ino == status.st_ino, found.st_dev == status.st_dev,
            access((target as NSString).deletingLastPathComponent, W_OK | X_OK) == 0
        else { return .inPlace }
        return .file(target, replaced: status)
    }

    private func newFile(at target: String) throws -> Place {
        let parent = (target as NSString).deletingLastPathComponent
        let folder = parent.isEmpty ? "." : parent
        var status = stat()
        guard !target.hasSuffix("/"), stat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw CommandFailure("\(path) cannot be written: its folder does not exist", exit: .usage)
        }
        guard access(folder, W_OK | X_OK) == 0 else { throw failure() }
        return .file(target, replaced: nil)
    }

    /// Where a link to nothing yet leads; the path itself if it is none.
    private func endOfLinks() throws -> String {
        var end = path
        for _ in 0..<40 {
            guard let next = try? FileManager.default.destinationOfSymbolicLink(atPath: end) else { break }
            end =
                next.hasPrefix("/")
                ? next : ((end as NSString).deletingLastPathComponent as NSString).appendingPathComponent(next)
        }
        return end
    }

    /// The last system call's.
    private func failure() -> CommandFailure {
        CommandFailure(
            "\(isStandardOutput ? "standard output" : path) cannot be written: \(String(cString: strerror(errno)))")
    }
}

/// Writes a file whole or not at all. - Throws: `CommandFailure` naming the file.
func write(_ data: Data, to url: URL) throws { try OutputFile(url.path).write(data) }
