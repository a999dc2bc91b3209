import ClusterCore
import Foundation
import Logging
import OperatingSystem
import Protocol
import Synchronization

/// Who changed what: a JSON line for each change, in `audit.jsonl` of the data folder. Full files become
/// `audit.jsonl.1` to `.4`.
///
/// Lines hold names, addresses and results, and no secrets.
public final class AuditLog: Sendable {
    static let name = "audit.jsonl"
    static let maxBytes = 16 << 20
    static let filesKept = 4
    /// Entries of one answer.
    static let maxEntries = 1_000
    private static let maxFieldBytes = 500

    private let file: URL
    private let maxBytes: Int
    private let logger: Logger?
    /// One writer at a time.
    private let lock = Mutex(())

    /// - Parameter maxBytes: nil: never starts a new file. For a process beside the coordinator, which does that.
    public init(dataFolder: URL, logger: Logger? = nil, maxBytes: Int? = AuditLog.standardMaxBytes) {
        file = dataFolder.appendingPathComponent(Self.name)
        self.maxBytes = maxBytes ?? .max
        self.logger = logger
    }

    public static let standardMaxBytes = maxBytes

    /// Appends an entry. The change has happened, so a failure is only logged.
    public func record(_ entry: AuditEntry) {
        var entry = entry
        entry.who = Self.shortened(entry.who)
        entry.object = Self.shortened(entry.object)
        entry.result = Self.shortened(entry.result)
        do {
            let line = try APIFormat.encoder.encode(entry) + [0x0A]
            try lock.withLock { _ in
                try rotate()
                let descriptor = open(file.path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
                guard descriptor >= 0 else { throw FileFailure("open", file) }
                defer { close(descriptor) }
                // Commands of this machine append beside the coordinator.
                flock(descriptor, LOCK_EX)
                try append(line, to: descriptor)
            }
        } catch {
            logger?.error(
                "a change is not in the audit log", metadata: ["action": "\(entry.action)", "error": "\(error)"])
        }
    }

    /// Appends a line, all of it or nothing, also behind a line that a crash has cut off.
    private func append(_ line: Data, to descriptor: Int32) throws {
        let size = lseek(descriptor, 0, SEEK_END)
        guard size >= 0 else { throw FileFailure("read", file) }
        var last: UInt8 = 0x0A
        if size > 0, pread(descriptor, &last, 1, size - 1) != 1 { throw FileFailure("read", file) }
        if let number = writeAll(last == 0x0A ? line : [0x0A] + line, into: descriptor) {
            // What there is of the line would spoil the next one.
            ftruncate(descriptor, size)
            throw FileFailure("write", file, number: number)
        }
    }

    private static func shortened(_ text: String) -> String {
        text.utf8.count > maxFieldBytes ? text.shortened(to: maxFieldBytes) + "..." : text
    }

    private func rotate() throws {
        var status = stat()
        guard stat(file.path, &status) == 0, Int(status.st_size) >= maxBytes else { return }
        for number in stride(from: Self.filesKept - 1, through: 1, by: -1) {
            _ = rename("\(file.path).\(number)", "\(file.path).\(number + 1)")
        }
        guard rename(file.path, "\(file.path).1") == 0 else { throw FileFailure("move", file) }
    }

    /// The newest entries, oldest first. Lines that are no entries are left out.
    /// - Throws: `CoordinatorError` if the file cannot be read.
    func newest(_ limit: Int) throws -> [AuditEntry] {
        var entries: [AuditEntry] = []
        for path in [file.path] + (1...Self.filesKept).map({ "\(file.path).\($0)" }) where entries.count < limit {
            entries = try Self.newest(limit - entries.count, of: URL(fileURLWithPath: path)) + entries
        }
        return entries
    }

    private static func newest(_ limit: Int, of file: URL) throws -> [AuditEntry] {
        let descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return [] }
            throw CoordinatorError(FileFailure("open", file))
        }
        defer { close(descriptor) }
        // A line has at most some 2 KiB.
        let size = Int(lseek(descriptor, 0, SEEK_END))
        let start = max(0, size - limit * 4096)
        var bytes = [UInt8](repeating: 0, count: size - start)
        let count = pread(descriptor, &bytes, bytes.count, off_t(start))
        guard count >= 0 else { throw CoordinatorError(FileFailure("read", file)) }
        return bytes.prefix(count).split(separator: 0x0A).suffix(limit).compactMap {
            try? APIFormat.decoder.decode(AuditEntry.self, from: Data($0))
        }
    }
}
