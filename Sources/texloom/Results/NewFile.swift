import Foundation
import OperatingSystem

/// A file that appears under its name only when it is complete.
///
/// Until then it has no name: if the process dies, nothing is left behind. On a file system without nameless files (NFS)
/// it has a hidden name of its own, which a process that is killed leaves behind.
final class NewFile {
    private let target: String
    private let shown: String
    private let folder: String
    private let partial: String
    private let descriptor: Int32
    private let isNameless: Bool
    private let syncing: (Int32) -> Int32?
    private var isPlaced = false

    convenience init(at url: URL) throws { try self.init(at: url.path) }

    /// - Parameters:
    ///   - shown: its name in messages, if not its path.
    ///   - replaced: a file whose owner and permissions the new one gets.
    ///   - canBeNameless: whether the file system has nameless files; tests say no.
    ///   - syncing: what makes the bytes durable; tests let it fail.
    /// - Throws: `CommandFailure` naming the file and the system's reason.
    init(
        at target: String, shown: String? = nil, replacing replaced: stat? = nil, canBeNameless: Bool = true,
        syncing: @escaping (Int32) -> Int32? = syncAll
    ) throws {
        self.target = target
        self.syncing = syncing
        self.shown = shown ?? target
        folder = FileName.parent(ofPath: target)
        // Not made of the name: that may have the maximal length, and another process may write the same file.
        partial = "\(folder)/.texloom-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).partial"
        // O_TMPFILE, a constant that Swift does not import. The file gets its name by way of /proc.
        let nameless =
            canBeNameless
            ? open(FileName.cString(folder), 0o20000000 | O_DIRECTORY | O_RDWR | O_CLOEXEC, 0o666) : -1
        isNameless = nameless >= 0 && access("/proc/self/fd", X_OK) == 0
        if isNameless {
            descriptor = nameless
        } else {
            if nameless >= 0 { close(nameless) }
            descriptor = open(FileName.cString(partial), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o666)
        }
        guard descriptor >= 0 else { throw failure(errno) }
        if let replaced {
            // The owner keeps the file, if the system permits it.
            _ = fchown(descriptor, replaced.st_uid, replaced.st_gid)
            _ = fchmod(descriptor, replaced.st_mode & 0o7777)
        }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        if descriptor >= 0, !isNameless, !isPlaced { unlink(FileName.cString(partial)) }
    }

    func write(_ bytes: some ContiguousBytes) throws {
        if let error = writeAll(bytes, into: descriptor) { throw failure(error) }
    }

    /// Makes the file's bytes durable.
    func sync() throws {
        if let error = syncing(descriptor) { throw failure(error) }
    }

    /// Makes the file's bytes durable and gives it its name; one of that name is replaced.
    func place() throws {
        try sync()
        let name = FileName.cString(partial)
        // linkat cannot replace a file, so a nameless file first gets the unique name.
        if isNameless,
            linkat(AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, name, AT_SYMLINK_FOLLOW) != 0
        {
            throw failure(errno)
        }
        guard rename(name, FileName.cString(target)) == 0 else {
            let error = errno
            unlink(name)
            throw failure(error)
        }
        isPlaced = true
    }

    private func failure(_ error: Int32) -> CommandFailure {
        let advice = error == ENOSPC || error == EDQUOT ? "; free some, or name another place" : ""
        return CommandFailure("\(shown) cannot be written: \(reasonOfSystem(error))\(advice)")
    }
}

/// Makes a file's bytes durable. A network's file system may say only here that its disk is full.
/// - Returns: the system's error number; nil for success, and for pipes and devices, which have nothing to sync.
func syncAll(_ descriptor: Int32) -> Int32? {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return errno }
    guard status.st_mode & S_IFMT == S_IFREG else { return nil }
    while fsync(descriptor) != 0 {
        if errno != EINTR { return errno }
    }
    return nil
}
