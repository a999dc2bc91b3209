import Foundation
import NNCore
import OperatingSystem

/// The right of one `texloom train` to write into a result folder, held as long as this value lives.
///
/// The lock file stays: it says which exemplar the folder belongs to, and who last wrote into it.
final class RunClaim {
    struct Owner: Codable {
        /// `Exemplar.fingerprint`.
        var exemplar: String
        /// The exemplar's absolute path.
        var file: String
        var process: Int32
        var host: String
        var since: Date

        init(exemplar: String, file: String) {
            self.exemplar = exemplar
            self.file = URL(fileURLWithPath: file).standardizedFileURL.path
            process = getpid()
            host = ProcessInfo.processInfo.hostName
            since = Date()
        }

        var description: String {
            "process \(process) on \(host), which trains \(file) since \(since.formatted(.iso8601))"
        }
    }

    enum Outcome {
        case claimed(RunClaim)
        /// Another process writes into the folder. Nil: its exemplar is unknown.
        case busy(Owner?)
        /// The folder holds a run of another exemplar.
        case foreign(Owner?)
    }

    private let lock: LockFile

    private init(_ lock: LockFile) { self.lock = lock }

    /// Changes nothing in a folder of another run.
    /// - Throws: `CommandFailure` if the folder cannot be used.
    static func take(_ folder: ResultFolder, for owner: Owner) throws -> Outcome {
        let file = folder.claim.path
        let isRun = FileManager.default.fileExists(atPath: folder.recipeYAML.path)
        let known = folder.exemplarOfNetworks()
        if let known, known != owner.exemplar, !FileManager.default.fileExists(atPath: file) { return .foreign(nil) }
        try folder.create()
        let claim: RunClaim
        do {
            claim = RunClaim(try LockFile(folder.claim))
        } catch {
            throw CommandFailure("\(error)")
        }
        switch claim.lock.state {
        case .held: break
        case .taken: return .busy(claim.owner(patiently: true))
        case .unsupported:
            complain("\(file) cannot be locked on this file system: make sure that no other train uses the folder")
        }
        let previous = isRun ? claim.owner() : nil
        if let exemplar = previous?.exemplar ?? known, exemplar != owner.exemplar { return .foreign(previous) }
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let record = try encoder.encode(owner)
        guard ftruncate(claim.lock.descriptor, 0) == 0,
            record.withUnsafeBytes({ pwrite(claim.lock.descriptor, $0.baseAddress, $0.count, 0) }) == record.count
        else { throw CommandFailure("\(FileFailure("write", folder.claim))") }
        return .claimed(claim)
    }

    /// - Parameter patiently: waits for a process that has just taken the lock and is about to write its name.
    private func owner(patiently: Bool = false) -> Owner? {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        var bytes = [UInt8](repeating: 0, count: 16384)
        for _ in 0..<(patiently ? 50 : 1) {
            let count = pread(lock.descriptor, &bytes, bytes.count, 0)
            if count > 0, let owner = try? decoder.decode(Owner.self, from: Data(bytes.prefix(count))) { return owner }
            if patiently { usleep(20_000) }
        }
        return nil
    }
}
