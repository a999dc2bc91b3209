import Base
import ClusterCore
import Foundation
import OperatingSystem
import Transport

/// What a worker keeps about the cluster that it has joined: the coordinator's key and address, and its own key pair. All
/// of it is in the data folder, readable by its owner only.
struct Membership: Sendable, Equatable {
    private static let file = "cluster.json"
    private static let keyFile = "worker-key"

    /// The coordinator's public key, in Z85.
    var serverKey: String
    /// The key that the coordinator has announced for later.
    var nextServerKey: String?
    /// The address that answered when the worker joined.
    var endpoint: String
    /// The public key of the invitation with which the worker joined.
    var invitation: String

    private struct Record: Codable {
        var invitation: String
        var serverKey: String
        var nextServerKey: String?
        var endpoint: String
    }

    /// The membership of a data folder; nil if its worker has joined no cluster.
    /// - Throws: ``WorkerError`` if the file cannot be read or is damaged.
    init?(of folder: URL) throws(WorkerError) {
        let file = folder.appendingPathComponent(Self.file)
        let data: Data
        do {
            data = try Data(contentsOf: file)
        } catch {
            if (error as? CocoaError)?.code == .fileReadNoSuchFile { return nil }
            throw WorkerError("cannot read \(file.path): \(error.systemReason)")
        }
        guard let record = try? JSONDecoder().decode(Record.self, from: data),
            Z85.bytes(of: record.serverKey)?.count == 32,
            Z85.bytes(of: record.nextServerKey ?? record.serverKey)?.count == 32
        else {
            throw WorkerError(
                "\(file.path) is damaged; remove it, and join again with the string that 'texloom invite' prints")
        }
        (serverKey, nextServerKey, endpoint) = (record.serverKey, record.nextServerKey, record.endpoint)
        invitation = record.invitation
    }

    init(serverKey: String, endpoint: String, invitation: String) {
        self.serverKey = serverKey
        self.endpoint = endpoint
        self.invitation = invitation
    }

    func save(in folder: URL) throws(WorkerError) {
        let file = folder.appendingPathComponent(Self.file)
        do {
            let record = Record(
                invitation: invitation, serverKey: serverKey, nextServerKey: nextServerKey, endpoint: endpoint)
            try PrivateFile.write(JSONEncoder().encode(record), to: file)
        } catch {
            throw WorkerError("cannot write \(file.path): \(error.systemReason)")
        }
    }

    /// The worker's own key pair, made on first use.
    static func keys(of folder: URL) throws(WorkerError) -> CurveKeyPair {
        do {
            return try CurveKeyPair.load(orCreate: folder.appendingPathComponent(keyFile))
        } catch {
            throw WorkerError(error.message)
        }
    }

    /// The secret that shows a coordinator that the worker's id is its own, made on first use.
    static func secret(of folder: URL) throws(WorkerError) -> String {
        let file = folder.appendingPathComponent("worker-secret")
        return try KeptText(file: file, randomBytes: 32) { (32...Limits.maxSecretBytes).contains($0.utf8.count) }.text()
    }
}
