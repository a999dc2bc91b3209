import Foundation
import OperatingSystem

/// The coordinator's folder, held by one process at a time.
final class DataFolder: Sendable {
    let url: URL
    private let lock: Int32

    /// Creates the folder if need be and locks it. The kernel lets go of the lock however the process ends.
    /// - Throws: `.dataFolderInUse`, `.fileSystem`.
    init(_ url: URL) throws {
        self.url = url
        do {
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        } catch {
            throw CoordinatorError(
                .fileSystem, "the data folder \(url.path) cannot be created: \(error.systemReason)")
        }
        let file = url.appendingPathComponent(Self.lockName)
        lock = open(file.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard lock >= 0 else { throw FileFailure.error("open", file) }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            // Its descriptor is closed by deinit, which runs after a throw once all properties are set.
            throw CoordinatorError(
                .dataFolderInUse,
                "another coordinator is using \(url.path); stop it, or give this one its own data folder")
        }
    }

    deinit { if lock >= 0 { close(lock) } }

    /// Whether this is still the folder that its path names: not removed, moved away or covered by a mount.
    var isInPlace: Bool {
        var (held, named) = (stat(), stat())
        return fstat(lock, &held) == 0 && stat(url.appendingPathComponent(Self.lockName).path, &named) == 0
            && held.st_ino == named.st_ino && held.st_dev == named.st_dev
            && FileManager.default.fileExists(atPath: database.path)
    }

    private static let lockName = "coordinator.lock"

    var database: URL { url.appendingPathComponent("jobs.sqlite") }
    var eventFiles: URL { url.appendingPathComponent("tensorboard", isDirectory: true) }
    var thumbnails: URL { url.appendingPathComponent("thumbnails", isDirectory: true) }
}
