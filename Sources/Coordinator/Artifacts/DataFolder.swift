import Foundation
import OperatingSystem

/// The coordinator's folder. One process at a time holds it.
final class DataFolder: Sendable {
    private static let databaseName = "jobs.sqlite"
    private static let lockName = "coordinator.lock"
    private static let databaseFiles = ["", "-wal", "-shm"].map { databaseName + $0 }

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
            for name in Self.databaseFiles + [Self.lockName] {
                try PrivateFile.restrict(url.appendingPathComponent(name))
            }
        } catch {
            throw CoordinatorError(
                .fileSystem, "the data folder \(url.path) cannot be created: \(error.systemReason)")
        }
        do {
            lock = try LockFile(url.appendingPathComponent(Self.lockName))
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

    /// Gives what a command of root's has made in another user's folder to that user, whose coordinator could not use
    /// it otherwise. For commands only: what a coordinator that runs as root makes, its keys above all, stays root's.
    static func giveToOwner(_ folder: URL) {
        RootFiles.giveToOwner(
            of: folder, databaseFiles + [lockName, AuditLog.name, "artifacts", "incoming", "damaged"])
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
