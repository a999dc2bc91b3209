import Foundation
import OperatingSystem
import Protocol

/// The tokens in a data folder, also while a coordinator uses it: it sees a change at once. Access to the folder is all
/// that this asks for.
public struct TokenAdministration: Sendable {
    private let dataFolder: URL
    private let store: JobStore
    private let tokens: TokenStore
    private let audit: AuditLog

    /// Opens a data folder.
    /// - Parameter creates: Whether a new or empty folder becomes a data folder.
    /// - Throws: `CoordinatorError` if the folder is no coordinator's or cannot be used, or a coordinator of an older
    ///   texloom uses it.
    public init(dataFolder: URL, creates: Bool = true) throws {
        try Self.requireStore(in: dataFolder, orRoom: creates)
        // Also if the store does not open.
        defer { DataFolder.giveToOwner(dataFolder) }
        // While this value holds the lock, no coordinator starts; a running one holds it itself.
        do {
            let folder = try DataFolder(dataFolder)
            store = try JobStore(file: folder.database, newCoordinatorID: UUID.random().uuidString.lowercased())
        } catch let error as CoordinatorError where error.code == .dataFolderInUse {
            store = try JobStore(sharing: DataFolder.database(in: dataFolder))
        }
        self.dataFolder = dataFolder
        tokens = TokenStore(pool: store.pool)
        audit = AuditLog(dataFolder: dataFolder, maxBytes: nil)
    }

    /// A mistyped folder stays as it is: a data folder loses the access of everyone but its owner.
    private static func requireStore(in folder: URL, orRoom creates: Bool) throws {
        let files = FileManager.default
        guard try !DataFolder.hasDatabase(folder) else { return }
        var found: [String] = []
        do {
            if files.fileExists(atPath: folder.path) { found = try files.contentsOfDirectory(atPath: folder.path) }
        } catch {
            throw CoordinatorError(
                .fileSystem, "the data folder \(folder.path) cannot be read: \(error.systemReason)")
        }
        // What a new file system has, and what is left if the store could not be created.
        guard creates, found.allSatisfy({ ["lost+found", "coordinator.lock"].contains($0) }) else {
            throw CoordinatorError(
                .badConfiguration,
                "there is no coordinator's store in \(folder.path); name a coordinator's data folder with --data"
                    + (creates ? ", or a new or empty one" : ""))
        }
    }

    public func create(_ request: TokenRequest) async throws -> CreatedToken {
        let created = try await Self.plainly { try await tokens.create(request) }
        record("token.create", "\(request.name) (\(request.role.rawValue))")
        return created
    }

    private func record(_ action: String, _ object: String) {
        audit.record(
            AuditEntry(
                who: "local:\(NSUserName())", role: .admin, from: "this machine", action: action, object: object,
                result: "ok"))
        DataFolder.giveToOwner(dataFolder)
    }

    public func list() async throws -> [TokenSummary] { try await Self.plainly { try await tokens.list() } }

    public func revoke(_ name: String) async throws {
        try await Self.plainly { try await tokens.revoke(name) }
        record("token.revoke", name)
    }

    /// Problems are answers of the HTTP API; here their text is what counts.
    private static func plainly<Result>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch let problem as Problem {
            throw CoordinatorError(.badConfiguration, problem.detail)
        }
    }
}
