import Foundation

/// What root leaves in a folder of another user, who could not use it afterwards.
public enum RootFiles {
    /// Neither is in Glibc's module. Opened with `O_PATH`, a file can be closed without the loss of this process's locks
    /// on it.
    private static let openPath: Int32 = 0o10000000
    private static let emptyPath: Int32 = 0x1000

    /// Gives files and folders directly in a folder, where they belong to root, to the folder's owner. Does nothing
    /// unless this process is root and the folder belongs to another user.
    /// - Parameter names: The files and folders that this process may have made.
    public static func giveToOwner(of folder: URL, _ names: [String]) {
        var owner = stat()
        guard geteuid() == 0, stat(folder.path, &owner) == 0, owner.st_uid != 0 else { return }
        for name in names {
            let path = folder.appendingPathComponent(name).path
            let descriptor = open(path, openPath | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            var status = stat()
            guard fstat(descriptor, &status) == 0, status.st_uid == 0 else { continue }
            let kind = status.st_mode & S_IFMT
            // The owner could have linked a file of root's from elsewhere.
            guard kind == S_IFDIR || (kind == S_IFREG && status.st_nlink == 1) else { continue }
            _ = fchownat(descriptor, "", owner.st_uid, owner.st_gid, emptyPath)
        }
    }
}
