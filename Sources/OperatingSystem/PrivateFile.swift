import Foundation

/// Files and folders that only their owner may use.
public enum PrivateFile {
    /// Creates a folder with mode 0700, or takes an existing one away from others.
    public static func createFolder(_ url: URL) throws {
        try FileManager.default.createDirectory(
            at: url, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        try restrict(url, to: 0o700)
    }

    /// Takes an existing file away from others. Nothing happens if there is no such file, or if it belongs to another
    /// account: that one has to protect it.
    public static func restrict(_ url: URL, to mode: mode_t = 0o600) throws(FileFailure) {
        guard chmod(url.path, mode) == 0 || errno == ENOENT || errno == EPERM else {
            throw FileFailure("restrict the access to", url)
        }
    }

    /// Files that this process creates from now on are for their owner only.
    public static func keepNewFilesPrivate() { umask(0o077) }

    /// Writes a file of mode 0600 whole or not at all, and makes it and its name durable.
    public static func write(_ data: Data, to url: URL) throws(FileFailure) {
        try DurableFile.write(data, to: url, mode: 0o600)
        try DurableFile.sync(url.deletingLastPathComponent())
    }

    /// - Parameter mayBeIssued: Whether the file may also be one that a service manager hands out (systemd's credentials,
    ///   Kubernetes' secrets): it belongs to root, and a group may read it that has this process as its member.
    /// - Throws: ``FileFailure`` or ``OpenToOthers``.
    public static func requirePrivate(_ url: URL, mayBeIssued: Bool = false) throws {
        var status = stat()
        guard stat(url.path, &status) == 0 else { throw FileFailure("open", url) }
        let mode = status.st_mode & 0o777
        let isIssued = mayBeIssued && status.st_uid == 0 && geteuid() != 0 && mode & 0o027 == 0
        guard mode & 0o077 == 0 || isIssued else { throw OpenToOthers(path: url.path, mode: mode) }
    }

    /// Others may read a file that holds a secret.
    public struct OpenToOthers: Error, Equatable, Sendable, CustomStringConvertible {
        public let path: String
        public let mode: mode_t

        public var description: String {
            "\(path) has mode \(String(mode, radix: 8)), and others may read the secret in it; expected 600: chmod 600 it"
        }
    }
}
