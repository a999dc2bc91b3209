import Base
import Crypto
import Foundation
import Synchronization
import Testing

@testable import ClusterCore
@testable import Coordinator

@Suite("Artifact store")
struct ArtifactStoreTests {
    let folder = TemporaryFolder()

    private func files(_ name: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: folder.url.appendingPathComponent(name).path)
    }

    private func artifact(of data: Data) -> Artifact {
        Artifact(sha256: hexadecimal(SHA256.hash(data: data)), sizeBytes: data.count)
    }

    @Test func bytesComeBackUnderTheirDigest() throws {
        let store = try ArtifactStore(dataFolder: folder.url)
        let incoming = try store.makeIncoming()
        try incoming.append(Data("hello ".utf8))
        try incoming.append(Data("world".utf8))
        let stored = try incoming.commit()
        #expect(stored == artifact(of: Data("hello world".utf8)))
        #expect(try store.read(stored.sha256, offset: 6, count: 100) == Data("world".utf8))
        #expect(try files("artifacts").contains("\(stored.sha256.prefix(2))/\(stored.sha256.dropFirst(2))"))
        #expect(try files("incoming").isEmpty)
    }

    @Test func bytesThatAreNotThoseAnnouncedLeaveNothingBehind() throws {
        let store = try ArtifactStore(dataFolder: folder.url)
        for corrupt in ["hellO", "hello!", "hell"] {
            let incoming = try store.makeIncoming()
            try incoming.append(Data(corrupt.utf8))
            let error = #expect(throws: CoordinatorError.self) {
                try incoming.commit(expecting: artifact(of: Data("hello".utf8)))
            }
            #expect(error?.code == .digestMismatch)
        }
        #expect(try files("artifacts").isEmpty && files("incoming").isEmpty)
    }

    @Test func equalBytesAreStoredOnce() throws {
        let store = try ArtifactStore(dataFolder: folder.url)
        for _ in 0..<3 {
            let incoming = try store.makeIncoming()
            try incoming.append(Data("same".utf8))
            _ = try incoming.commit()
        }
        #expect(try files("artifacts").filter { $0.contains("/") }.count == 1)
        #expect(try files("incoming").isEmpty)
    }

    @Test func interruptedWritesAreClearedAtTheNextStart() throws {
        let store = try ArtifactStore(dataFolder: folder.url)
        let incoming = try store.makeIncoming()
        try incoming.append(Data("half".utf8))
        #expect(try files("incoming").count == 1)
        _ = try ArtifactStore(dataFolder: folder.url)
        #expect(try files("incoming").isEmpty)
        incoming.abandon()
    }

    @Test func thePartOfAnAnnouncedArtifactIsGoneOnWith() throws {
        let whole = Data((0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        let announced = artifact(of: whole)
        do {
            let part = try ArtifactStore(dataFolder: folder.url).resumeIncoming(announced)
            #expect(part.sizeBytes == 0 && !part.isResumed)
            try part.append(whole.prefix(6000))
        }
        let store = try ArtifactStore(dataFolder: folder.url)
        let part = try store.resumeIncoming(announced)
        #expect(part.sizeBytes == 6000 && part.isResumed)
        // A second sender of the same bytes does not write to the first one's file.
        let other = try store.resumeIncoming(announced)
        #expect(other.sizeBytes == 0)
        try other.append(whole)
        try part.append(whole.suffix(4000))
        #expect(try part.commit(expecting: announced) == announced)
        #expect(try other.commit(expecting: announced) == announced)
        #expect(try store.condition(of: announced) == .intact)
        #expect(try files("incoming").isEmpty)
        #expect(try store.resumeIncoming(announced).sizeBytes == 0, "its claim was given back")
    }

    @Test func partsThatNobodyGoesOnWithAreRemovedInTime() throws {
        let store = try ArtifactStore(dataFolder: folder.url)
        let artifacts = (1...2).map { artifact(of: Data("\($0)".utf8)) }
        for artifact in artifacts { try store.resumeIncoming(artifact).suspend() }
        let path = folder.url.path + "/incoming/\(artifacts[0].sha256).part"
        let old = Date(timeIntervalSinceNow: -ArtifactStore.partLifetime - 60)
        try FileManager.default.setAttributes([.modificationDate: old], ofItemAtPath: path)
        store.removeStaleParts()
        #expect(try files("incoming") == ["\(artifacts[1].sha256).part"])
    }

    @Test func aDamagedFileIsToldFromAMissingOneAndCanBeStoredAgain() throws {
        let store = try ArtifactStore(dataFolder: folder.url)
        let stored = try store.store(Data("some bytes".utf8))
        #expect(try store.condition(of: stored) == .intact)
        try folder.damage(stored.sha256)
        guard case .damaged = try store.condition(of: stored) else {
            Issue.record("not found")
            return
        }
        try store.setAside(stored.sha256)
        #expect(try store.condition(of: stored) == .missing)
        #expect(try store.store(Data("some bytes".utf8)) == stored)
        #expect(try store.condition(of: stored) == .intact)
    }

    @Test func aDamagedFileOfTheRightSizeIsReplacedByTheRightBytes() throws {
        let store = try ArtifactStore(dataFolder: folder.url)
        let stored = try store.store(Data("some bytes".utf8))
        try folder.damage(stored.sha256)
        #expect(store.contains(stored), "its size is right")
        #expect(try store.store(Data("some bytes".utf8)) == stored)
        #expect(try store.condition(of: stored) == .intact)
    }

    /// Free disk space that a test sets.
    private final class Space: Sendable {
        private let bytes = Mutex(Int.max)
        var left: Int {
            get { bytes.withLock { $0 } }
            set { bytes.withLock { $0 = newValue } }
        }
    }

    @Test func theReserveIsKeptAlsoByATransferThatIsUnderWay() throws {
        let space = Space()
        let store = try ArtifactStore(dataFolder: folder.url) { _ in space.left }
        let writers = [try store.makeIncoming(), try store.resumeIncoming(artifact(of: Data("announced".utf8)))]
        for writer in writers { try writer.append(Data("x".utf8)) }
        // Others have filled the disk meanwhile.
        space.left = ArtifactStore.reservedBytes + 10
        for writer in writers {
            try writer.append(Data(count: 10))
            let error = #expect(throws: CoordinatorError.self) { try writer.append(Data(count: 11)) }
            #expect(error?.code == .noSpace)
        }
    }

    @Test func partsThatNobodySendsAndDamagedFilesMakeRoom() throws {
        let space = Space()
        let store = try ArtifactStore(dataFolder: folder.url) { _ in space.left }
        let announced = (1...3).map { artifact(of: Data("\($0)".utf8)) }
        for artifact in announced.prefix(2) { try store.resumeIncoming(artifact).suspend() }
        let underWay = try store.resumeIncoming(announced[2])
        let damaged = try store.store(Data("damaged".utf8))
        try store.setAside(damaged.sha256)
        #expect(try files("incoming").count == 3 && files("damaged").count == 1)
        space.left = ArtifactStore.reservedBytes
        #expect(throws: CoordinatorError.self) { try underWay.append(Data(count: 1)) }
        #expect(try files("incoming") == ["\(announced[2].sha256).part"], "but the one under way")
        #expect(try files("damaged").isEmpty)
    }

    @Test func aPartThatCannotBeReadIsBegunAnew() throws {
        let store = try ArtifactStore(dataFolder: folder.url)
        let whole = Data("whole".utf8)
        let announced = artifact(of: whole)
        // A read at the start of this file is an input/output error, like a bad sector.
        try FileManager.default.createSymbolicLink(
            atPath: folder.url.path + "/incoming/\(announced.sha256).part", withDestinationPath: "/proc/self/mem")
        let part = try store.resumeIncoming(announced)
        #expect(part.sizeBytes == 0 && !part.isResumed)
        try part.append(whole)
        #expect(try part.commit(expecting: announced) == announced)
    }

    @Test(arguments: [
        "", "..", "../../../etc/passwd", String(repeating: "A", count: 64), String(repeating: "a", count: 63),
    ])
    func whatIsNoDigestNamesNoFile(text: String) throws {
        let store = try ArtifactStore(dataFolder: folder.url)
        #expect(try store.size(of: text) == nil)
        #expect(throws: CoordinatorError.self) { try store.file(of: text) }
        try store.remove(text)
    }

    @Test func aDataFolderHasOneCoordinator() throws {
        let first = try DataFolder(folder.url)
        let error = #expect(throws: CoordinatorError.self) { try DataFolder(folder.url) }
        #expect(error?.code == .dataFolderInUse)
        withExtendedLifetime(first) {}
    }

    @Test func aDataFolderIsFreeOnceItsCoordinatorIsGone() throws {
        do { _ = try DataFolder(folder.url) }
        _ = try DataFolder(folder.url)
    }

    /// A disk that fails the first sync of a folder.
    private final class FailingSyncs: Sendable {
        let log = Mutex<(failing: Set<String>, synced: [String])>(([], []))

        func sync(_ folder: URL) throws {
            try log.withLock { log in
                if log.failing.remove(folder.lastPathComponent) != nil {
                    throw CoordinatorError(.fileSystem, "cannot sync \(folder.path)")
                }
                log.synced.append(folder.lastPathComponent)
            }
        }
    }

    @Test(arguments: [true, false]) func aFolderWhoseNameWasNotSyncedIsSyncedBeforeAFileInItIsPromised(
        _ isOfParent: Bool
    ) throws {
        let syncs = FailingSyncs()
        let store = try ArtifactStore(dataFolder: folder.url, syncFolder: syncs.sync)
        #expect(syncs.log.withLock { $0.synced } == ["artifacts", folder.url.lastPathComponent])
        let wanted = artifact(of: Data("hello".utf8))
        let shelf = String(wanted.sha256.prefix(2))
        syncs.log.withLock { $0 = ([isOfParent ? "artifacts" : shelf], []) }
        #expect(throws: CoordinatorError.self) { try store.store(Data("hello".utf8)) }
        #expect(!store.contains(wanted))
        // The sender repeats it. The folder exists by now, but might not survive a power cut.
        #expect(try store.store(Data("hello".utf8)) == wanted)
        #expect(store.contains(wanted))
        #expect(syncs.log.withLock { $0.synced } == ["artifacts", shelf])
    }
}
