import Foundation

/// A file that appears under its name only when it is whole.
///
/// Until then it has no name at all: whatever ends the process, nothing is left behind. Where the file system has no
/// nameless files (NFS), it is called `.NAME.partial` meanwhile; the next try takes its place.
final class NewFile {
    private let target: String
    private let partial: String
    private let descriptor: Int32
    private let isNameless: Bool
    private var isPlaced = false

    /// - Throws: `CommandFailure` naming the file and the system's reason.
    init(at url: URL) throws {
        target = url.path
        partial = url.deletingLastPathComponent().appendingPathComponent(".\(url.lastPathComponent).partial").path
        // O_TMPFILE, which is no constant that Swift imports. A name is given by way of /proc.
        let nameless = open(url.deletingLastPathComponent().path, 0o20000000 | O_DIRECTORY | O_RDWR | O_CLOEXEC, 0o666)
        isNameless = nameless >= 0 && access("/proc/self/fd", X_OK) == 0
        if isNameless {
            descriptor = nameless
        } else {
            if nameless >= 0 { close(nameless) }
            descriptor = open(partial, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o666)
        }
        guard descriptor >= 0 else { throw failure(errno) }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        if descriptor >= 0, !isNameless, !isPlaced { unlink(partial) }
    }

    func write(_ bytes: some ContiguousBytes) throws {
        try bytes.withUnsafeBytes { buffer in
            var written = 0
            while written < buffer.count {
                let count = Glibc.write(descriptor, buffer.baseAddress! + written, buffer.count - written)
                if count >= 0 {
                    written += count
                } else if errno != EINTR {
                    throw failure(errno)
                }
            }
        }
    }

    /// Gives the file its name; one of that name is replaced.
    func place() throws {
        if isNameless {
            let open = "/proc/self/fd/\(descriptor)"
            // A name can be given only where there is none.
            unlink(partial)
            guard linkat(AT_FDCWD, open, AT_FDCWD, partial, AT_SYMLINK_FOLLOW) == 0 else { throw failure(errno) }
        }
        guard rename(partial, target) == 0 else {
            let error = errno
            unlink(partial)
            throw failure(error)
        }
        isPlaced = true
    }

    private func failure(_ error: Int32) -> CommandFailure {
        let advice = error == ENOSPC || error == EDQUOT ? "; free some, or let --out name another place" : ""
        return CommandFailure("\(target) cannot be written: \(String(cString: strerror(error)))\(advice)")
    }
}
