import Foundation
import Testing

@testable import OperatingSystem

/// Locks and durable files.
@Suite final class FileTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("texloom-\(UUID().uuidString)")

    init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: folder) }

    /// A link to itself stands for a folder that may not be entered: root may enter all others.
    @Test func whatCannotBeLookedAtIsNotTakenForMissing() throws {
        let loop = folder.appendingPathComponent("loop")
        try FileManager.default.createSymbolicLink(atPath: loop.path, withDestinationPath: "loop")
        let file = folder.appendingPathComponent("file")
        try Data().write(to: file)
        #expect(try fileExists(at: file) && fileExists(at: folder))
        #expect(try !fileExists(at: folder.appendingPathComponent("none/a")))
        #expect(try !fileExists(at: file.appendingPathComponent("a")))
        let failure = #expect(throws: FileFailure.self) { try fileExists(at: loop.appendingPathComponent("a")) }
        #expect(failure?.number == ELOOP)
    }

    @Test func aLockIsHeldOnceAndReleasedWithItsValue() throws {
        let file = folder.appendingPathComponent("lock")
        var first: LockFile? = try LockFile(file)
        #expect(first?.state == .held)
        #expect(try LockFile(file).state == .taken)
        // As in a child process before it executes its program.
        let copy = dup(try #require(first).descriptor)
        defer { close(copy) }
        first = nil
        #expect(try LockFile(file).state == .held)
    }

    @Test func aLockKnowsWhetherItsPathStillNamesIt() throws {
        let inner = folder.appendingPathComponent("inner")
        try FileManager.default.createDirectory(at: inner, withIntermediateDirectories: true)
        let lock = try LockFile(inner.appendingPathComponent("lock"))
        #expect(lock.isInPlace)
        try FileManager.default.moveItem(at: inner, to: folder.appendingPathComponent("moved"))
        #expect(!lock.isInPlace)
        try FileManager.default.createDirectory(at: inner, withIntermediateDirectories: true)
        try Data().write(to: inner.appendingPathComponent("lock"))
        #expect(!lock.isInPlace, "another file of that name")
    }

    @Test func aLockThatCannotBeOpenedSaysWhere() {
        let error = #expect(throws: FileFailure.self) {
            try LockFile(URL(fileURLWithPath: "/nowhere/lock"))
        }
        #expect(error?.description == "cannot open /nowhere/lock: No such file or directory")
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
    func filesOfRootGoToTheOwnerOfTheirFolderUnlessTheyAreLinks() throws {
        for name in ["file", "elsewhere", "other"] { try Data().write(to: folder.appendingPathComponent(name)) }
        let inner = folder.appendingPathComponent("inner")
        try FileManager.default.createDirectory(at: inner, withIntermediateDirectories: false)
        try FileManager.default.linkItem(
            at: folder.appendingPathComponent("elsewhere"), to: folder.appendingPathComponent("hard"))
        try FileManager.default.createSymbolicLink(
            atPath: folder.appendingPathComponent("soft").path, withDestinationPath: "/")
        let names = ["file", "inner", "hard", "soft", "missing"]
        func owner(_ name: String) -> uid_t? {
            var status = stat()
            return stat(folder.appendingPathComponent(name).path, &status) == 0 ? status.st_uid : nil
        }
        RootFiles.giveToOwner(of: folder, names)
        #expect(owner("file") == 0, "the folder is root's own")
        try #require(chown(folder.path, 65534, 65534) == 0)
        RootFiles.giveToOwner(of: folder, names)
        #expect(owner("file") == 65534 && owner("inner") == 65534)
        #expect(owner("hard") == 0 && owner("soft") == 0 && owner("other") == 0)
    }

    @Test func aWrittenFileIsWholeAndReplacesItsPredecessor() throws {
        let file = folder.appendingPathComponent("record.json")
        for text in ["first", "second"] { try DurableFile.write(Data(text.utf8), to: file) }
        try DurableFile.sync(folder)
        #expect(try String(contentsOf: file, encoding: .utf8) == "second")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["record.json"])
    }

    @Test func aFailedWriteLeavesTheFileOfBefore() throws {
        let file = folder.appendingPathComponent("record.json")
        try DurableFile.write(Data("first".utf8), to: file)
        // A folder takes the place of the partial file.
        try FileManager.default.createDirectory(
            at: file.appendingPathExtension("partial"), withIntermediateDirectories: true)
        let error = #expect(throws: FileFailure.self) { try DurableFile.write(Data("second".utf8), to: file) }
        #expect(error?.operation == "create" && error?.number == EEXIST)
        #expect(try String(contentsOf: file, encoding: .utf8) == "first")
    }

    @Test func aSecretIsForItsOwnerOrIssuedByRoot() throws {
        let file = folder.appendingPathComponent("secret")
        #expect(throws: FileFailure.self) { try PrivateFile.requirePrivate(file) }
        try PrivateFile.write(Data("secret".utf8), to: file)
        try PrivateFile.requirePrivate(file)
        #expect(chmod(file.path, 0o640) == 0)
        for mayBeIssued in [false, true] {
            let open = #expect(throws: PrivateFile.OpenToOthers.self) {
                try PrivateFile.requirePrivate(file, mayBeIssued: mayBeIssued)
            }
            #expect(open?.description.contains("mode 640") == true)
        }
    }

    @Test func aFileMayBeWrittenInPiecesAndItsStartLast() throws {
        let file = folder.appendingPathComponent("record.json")
        try Data("longer than the next one".utf8).write(to: file)
        try DurableFile.replace(file) { (partial) throws(FileFailure) in
            for piece in ["--", "pieces", " in", " order"] { try partial.write(Data(piece.utf8)) }
            try partial.seek(to: 1)
            try partial.write(Data("+".utf8))
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == "-+pieces in order")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["record.json"])
    }

    @Test func afterAFailureTheFileOfBeforeIsLeftAndNoPartialOne() throws {
        let file = folder.appendingPathComponent("record.json")
        try DurableFile.write(Data("first".utf8), to: file)
        let full = FileFailure("write", file, number: ENOSPC)
        let error = #expect(throws: FileFailure.self) {
            try DurableFile.replace(file) { (partial) throws(FileFailure) in
                try partial.write(Data("second".utf8))
                throw full
            }
        }
        #expect(error == full)
        #expect(try String(contentsOf: file, encoding: .utf8) == "first")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["record.json"])
        // A name that cannot be given: a folder has it.
        let taken = folder.appendingPathComponent("taken")
        try FileManager.default.createDirectory(at: taken, withIntermediateDirectories: true)
        let refused = #expect(throws: FileFailure.self) { try DurableFile.write(Data("third".utf8), to: taken) }
        #expect(refused?.operation == "rename" && refused?.number == EISDIR)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["record.json", "taken"])
    }

    @Test func aFullDiskIsTold() {
        let full = FileFailure("write", folder, number: ENOSPC)
        #expect(full.isFull && FileFailure("write", folder, number: EDQUOT).isFull)
        #expect(!FileFailure("write", folder, number: EACCES).isFull)
        #expect(full.description == "cannot write \(folder.path): No space left on device")
    }
}
