import Foundation
import OperatingSystem

/// The coordinator's folder. One process at a time holds it.
final class DataFolder: Sendable {
    private static let databaseName = "jobs.sqlite"

    let url: URL
    private let lock: LockFile

    /// Creates the folder if necessary and locks it.
    /// - Throws: `.dataFolderInUse`, `.fileSystem`.
    init(_ url: URL) throws {
        self.url = url
        do {
            // For its owner only: it holds photographs, and what logs callers in.
            try PrivateFile.createFolder(url)
            // An earlier version left them readable.
            let database = Self.databaseName
            for name in [database, database + "-wal", database + "-shm", "coordinator.lock"] {
                try PrivateFile.restrict(url.appendingPathComponent(name))
            }
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

    /// Whether the path still names this folder. False after a removal, a move, or a mount over it.
    var isInPlace: Bool { lock.isInPlace && FileManager.default.fileExists(atPath: database.path) }

    var database: URL { Self.database(in: url) }
    /// The job store of a folder that this process need not hold.
    static func database(in folder: URL) -> URL { folder.appendingPathComponent(databaseName) }
    /// Whether a folder has a job store.
    /// - Throws: `.fileSystem` if the system cannot say.
    static func hasDatabase(_ folder: URL) throws -> Bool {
        do {
            return try fileExists(at: database(in: folder))
        } catch {
            throw CoordinatorError(.fileSystem, "the data folder \(folder.path) cannot be read: \(error.reason)")
        }
    }

    /// The secret key by which workers know this coordinator.
    var serverKey: URL { url.appendingPathComponent("server-key") }
    /// The key that will take its place, while workers learn it.
    var nextServerKey: URL { url.appendingPathComponent("server-key.next") }
    var eventFiles: URL { url.appendingPathComponent("tensorboard", isDirectory: true) }
    var thumbnails: URL { Self.thumbnails(in: url) }
    /// Small pictures of artifacts, by their digests.
    static func thumbnails(in folder: URL) -> URL { folder.appendingPathComponent("thumbnails", isDirectory: true) }
}
