import Foundation

/// Files and names that survive a power cut.
public enum DurableFile {
    /// Makes a file's bytes, or the names in a folder, durable.
    public static func sync(_ url: URL) throws(FileFailure) {
        let descriptor = open(url.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileFailure("open", url) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw FileFailure("sync", url) }
    }

    /// Gives a synced file its final name; a file of that name is replaced. The name is durable once its folder is
    /// synced, which the caller does, after several files perhaps.
    public static func rename(_ file: URL, to target: URL) throws(FileFailure) {
        guard Glibc.rename(file.path, target.path) == 0 else { throw FileFailure("rename", file) }
    }

    /// Writes a file whole or not at all, by way of `NAME.partial` beside it. The name is durable once its folder is
    /// synced.
    /// - Parameter mode: The file's, less the process's mask.
    public static func write(_ data: Data, to url: URL, mode: mode_t = 0o644) throws(FileFailure) {
        let partial = url.appendingPathExtension("partial")
        // A new file, so that no link leads the bytes elsewhere and no older mode lets others read them.
        unlink(partial.path)
        let descriptor = open(partial.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw FileFailure("create", partial) }
        do {
            defer { close(descriptor) }
            if let number = writeAll(data, into: descriptor) { throw FileFailure("write", partial, number: number) }
            guard fsync(descriptor) == 0 else { throw FileFailure("sync", partial) }
        }
        try rename(partial, to: url)
    }
}
