import Foundation
import Protocol
import Testing

@testable import Worker

final class SpoolTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("spool-\(UUID().uuidString)")
    private let ref = WireAttemptRef(jobID: "job-1", attempt: 2)

    deinit { try? FileManager.default.removeItem(at: folder) }

    @Test func theWorkersIdOutlivesItsProcessAndADamagedOneIsReplaced() throws {
        let id = try Spool(folder: folder).workerID()
        #expect(Identifier.isValid(id))
        #expect(try Spool(folder: folder).workerID() == id)
        try Data("not/an id".utf8).write(to: folder.appendingPathComponent("worker-id"))
        let replaced = try Spool(folder: folder).workerID()
        #expect(Identifier.isValid(replaced) && replaced != id)
        #expect(try Spool(folder: folder).workerID() == replaced)
    }

    @Test func anEarlierProcessesAttemptsAreRemovedAtTheStart() throws {
        let spool = try Spool(folder: folder)
        try spool.create(ref)
        let file = spool.reports(of: ref).appendingPathComponent("checkpoint")
        try Data([1]).write(to: file)
        _ = try Spool(folder: folder)
        #expect(!FileManager.default.fileExists(atPath: spool.folder(of: ref).path))
    }

    @Test func attemptsOfOneJobDoNotShareAFolder() throws {
        let spool = try Spool(folder: folder)
        let next = WireAttemptRef(jobID: "job-1", attempt: 3)
        try spool.create(ref)
        try spool.create(next)
        try Data([1]).write(to: spool.reports(of: next).appendingPathComponent("checkpoint"))
        spool.remove("checkpoint", of: ref)
        spool.remove(ref)
        #expect(FileManager.default.fileExists(atPath: spool.reports(of: next).path + "/checkpoint"))
        #expect(!FileManager.default.fileExists(atPath: spool.folder(of: ref).path))
    }

    @Test func aFolderThatIsAFileIsAnErrorThatNamesIt() throws {
        try Data().write(to: folder)
        let error = #expect(throws: WorkerError.self) { try Spool(folder: folder) }
        #expect(error?.message.contains(folder.path) == true)
    }

    @Test func aFolderHasOneWorkerAtATime() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("texloom-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        var lock: FolderLock? = try FolderLock(folder)
        let error = #expect(throws: WorkerError.self) { try FolderLock(folder) }
        #expect(error?.message.contains("another worker") == true)
        withExtendedLifetime(lock) {}
        lock = nil
        _ = try FolderLock(folder)
    }
}
