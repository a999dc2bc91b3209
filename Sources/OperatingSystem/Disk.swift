import Foundation

/// The disk of a folder.
public enum Disk {
    /// Bytes that this process may still write; nil if the system does not say.
    public static func freeBytes(at folder: URL) -> Int? {
        var status = statvfs()
        guard statvfs(folder.path, &status) == 0 else { return nil }
        return bytes(blocks: UInt64(status.f_bavail), ofBytes: UInt64(status.f_frsize))
    }

    /// The largest Int for more: network file systems without a limit report huge numbers.
    static func bytes(blocks: UInt64, ofBytes blockBytes: UInt64) -> Int {
        let (bytes, overflows) = blocks.multipliedReportingOverflow(by: blockBytes)
        return overflows ? .max : Int(clamping: bytes)
    }
}
