import Foundation

@testable import ClusterCore
@testable import Coordinator

/// Bytes that look random, the same for each seed.
func randomBytes(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(state >> 56)
    }
}

extension ArtifactStore {
    /// Stores some bytes as an artifact.
    func store(_ data: Data) throws -> Artifact {
        let incoming = try makeIncoming()
        try incoming.append(data)
        return try incoming.commit()
    }
}

extension TemporaryFolder {
    func artifact(_ sha256: String) -> URL {
        url.appendingPathComponent("artifacts/\(sha256.prefix(2))/\(sha256.dropFirst(2))")
    }

    /// Changes a byte of a stored artifact, as a failing disk would.
    func damage(_ sha256: String) throws {
        var data = try Data(contentsOf: artifact(sha256))
        data[data.count / 2] ^= 4
        try data.write(to: artifact(sha256))
    }

    /// Makes a file older by some hours.
    func age(_ sha256: String, hours: Double) throws {
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: -hours * 3600)], ofItemAtPath: artifact(sha256).path)
    }
}
