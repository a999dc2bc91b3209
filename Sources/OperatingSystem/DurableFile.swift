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
        try replace(url, mode: mode) { (file) throws(FileFailure) in try file.write(data) }
    }

    /// The same for bytes that come in pieces, so that they need not be in memory together.
    /// - Parameter body: Writes the pieces. After a failure the partial file is removed: the disk may be full.
    public static func replace(
        _ url: URL, mode: mode_t = 0o644, _ body: (Partial) throws(FileFailure) -> Void
    ) throws(FileFailure) {
        let partial = try Partial(url.appendingPathExtension("partial"), mode: mode)
        do throws(FileFailure) {
            try partial.complete(body)
            try rename(partial.url, to: url)
        } catch {
            unlink(partial.url.path)
            throw error
        }
    }

    /// A file that gets its name once it is whole.
    public struct Partial {
        fileprivate let url: URL
        private let descriptor: Int32

        fileprivate init(_ url: URL, mode: mode_t) throws(FileFailure) {
            // A new file, so that no link leads the bytes elsewhere and no older mode lets others read them.
            unlink(url.path)
            descriptor = open(url.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
            guard descriptor >= 0 else { throw FileFailure("create", url) }
            self.url = url
        }

        public func write(_ bytes: some ContiguousBytes) throws(FileFailure) {
            if let number = writeAll(bytes, into: descriptor) { throw FileFailure("write", url, number: number) }
        }

        /// The next bytes overwrite those from here on.
        /// - Parameter offset: From the start of the file.
        public func seek(to offset: Int) throws(FileFailure) {
            guard lseek(descriptor, off_t(offset), SEEK_SET) >= 0 else { throw FileFailure("seek in", url) }
        }

        /// Lets `body` write the bytes, and makes them durable.
        fileprivate func complete(_ body: (Partial) throws(FileFailure) -> Void) throws(FileFailure) {
            defer { close(descriptor) }
            try body(self)
            guard fsync(descriptor) == 0 else { throw FileFailure("sync", url) }
        }
    }
}
