import Foundation
import OperatingSystem
import Transport

/// The coordinator's key pair on the workers' address, and the change to another one: the coordinator announces the next
/// public key over encrypted connections, workers save it, and only then does the coordinator use it.
///
/// Both pairs are in files, so a change survives restarts.
struct ServerKeyRotation: Sendable {
    private let file: URL
    let nextFile: URL
    private(set) var current: CurveKeyPair
    private(set) var next: CurveKeyPair?
    /// The workers that have said since the start that they saved the next key, by key.
    var savedBy: Set<String> = []

    /// Makes the first pair if there is none.
    /// - Throws: `TransportError` if a file is damaged or open to others.
    init(_ folder: DataFolder) throws(TransportError) {
        try self.init(file: folder.serverKey, nextFile: folder.nextServerKey)
    }

    init(file: URL, nextFile: URL) throws(TransportError) {
        (self.file, self.nextFile) = (file, nextFile)
        current = try CurveKeyPair.load(orCreate: file)
        next = FileManager.default.fileExists(atPath: nextFile.path) ? try CurveKeyPair.load(orCreate: nextFile) : nil
    }

    /// Announces a pair, which is in `nextFile`.
    mutating func announce(_ pair: CurveKeyPair) { (next, savedBy) = (pair, []) }

    /// Takes the next pair into use. The change is durable once the files' folder is synced.
    /// - Returns: Whether there was a next pair.
    mutating func finish() throws(FileFailure) -> Bool {
        guard let pair = next else { return false }
        try DurableFile.rename(nextFile, to: file)
        (current, next, savedBy) = (pair, nil, [])
        return true
    }
}
