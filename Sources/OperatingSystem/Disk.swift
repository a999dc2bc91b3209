import Foundation

/// The disk of a folder.
public enum Disk {
    /// Bytes that this process may still write; nil if the system does not say.
    public static func freeBytes(at folder: URL) -> Int? {
        var status = statvfs()
        guard statvfs(folder.path, &status) == 0 else { return nil }
        return Int(status.f_bavail) * Int(status.f_frsize)
    }
}
