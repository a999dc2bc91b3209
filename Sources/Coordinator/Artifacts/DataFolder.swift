import Foundation
import OperatingSystem

/// The coordinator's folder, held by one process at a time.
final class DataFolder: Sendable {
    let url: URL
    private let lock: LockFile

    /// Creates the folder if need be and locks it.
    /// - Throws: `.dataFolderInUse`, `.fileSystem`.
    init(_ url: URL) throws {
        self.url = url
        do {
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        } catch {
            throw CoordinatorError(
                .fileSystem, "the data folder \(url.path) cannot be created: \(error.systemReason)")
        }
        do {
            lock = try LockFile(url.appendingPathComponent("coordinator.lock"))
        } catch {
            throw CoordinatorError(error)
        }
        switch lock.state {
        case .held: break
        case .taken:
            throw CoordinatorError(
                .dataFolderInUse,
                "another coordinator is using \(url.path); stop it, or give this one its own data folder")
        case .unsupported(let failure):
            throw CoordinatorError(.fileSystem, "\(failure); name a data folder on a local disk")
        }
    }

    /// Whether this is still the folder that its path names: not removed, moved away or covered by a mount.
    var isInPlace: Bool { lock.isInPlace && FileManager.default.fileExists(atPath: database.path) }

    var database: URL { url.appendingPathComponent("jobs.sqlite") }
    var eventFiles: URL { url.appendingPathComponent("tensorboard", isDirectory: true) }
    var thumbnails: URL { url.appendingPathComponent("thumbnails", isDirectory: true) }
}
