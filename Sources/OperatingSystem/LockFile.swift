import Foundation

/// A file with a lock that one process holds at a time (`flock`): it keeps a second process out of a folder.
///
/// The lock is held as long as this value lives; the kernel releases it when the process ends, however it ends. The file
/// itself stays, because removing it could let two processes in.
public final class LockFile: Sendable {
    public enum State: Equatable, Sendable {
        case held
        /// Another process holds it.
        case taken
        /// The file system has no locks, as some network file systems.
        case unsupported(FileFailure)
    }

    public let url: URL
    /// The open file, for reading and writing: some say in it who holds the lock.
    public let descriptor: Int32
    public let state: State

    /// Opens the file, creating it if need be, and tries to lock it without waiting.
    /// - Throws: if the file cannot be opened or locked for a reason other than ``State``'s.
    public init(_ url: URL) throws(FileFailure) {
        let descriptor = open(url.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileFailure("open", url) }
        var result = flock(descriptor, LOCK_EX | LOCK_NB)
        while result != 0, errno == EINTR { result = flock(descriptor, LOCK_EX | LOCK_NB) }
        if result == 0 {
            state = .held
        } else {
            let failure = FileFailure("lock", url)
            switch failure.number {
            case EWOULDBLOCK: state = .taken
            case ENOLCK, ENOSYS, EOPNOTSUPP: state = .unsupported(failure)
            default:
                close(descriptor)
                throw failure
            }
        }
        self.url = url
        self.descriptor = descriptor
    }

    deinit {
        // A child process that is just being started has a copy of the descriptor, which would keep the lock.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    /// Whether the path still names this file: its folder is not removed, moved away or covered by a mount.
    public var isInPlace: Bool {
        var (held, named) = (stat(), stat())
        return fstat(descriptor, &held) == 0 && stat(url.path, &named) == 0 && held.st_ino == named.st_ino
            && held.st_dev == named.st_dev
    }
}
