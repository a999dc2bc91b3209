import Foundation
import OperatingSystem
import Testing

@testable import ClusterCore
@testable import Worker

final class SpoolTests {
    private static let digests = "0123456789abcdef".map { String(repeating: $0, count: 64) }
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("spool-\(UUID().uuidString)")
    private let ref = AttemptReference(job: JobID(sequence: 1, salt: 0), number: 2)

    /// Three bytes of value 2.
    private let exemplar = Artifact(
        sha256: "970bec7483984728e413a0ff65986310f4bbe8fff5f02c58e6064856262d8476", sizeBytes: 3)

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

    /// With another id or secret the worker would be a stranger to its coordinator.
    @Test(arguments: ["worker-id", "worker-secret", "cluster.json"])
    func aFileThatCannotBeReadIsNotReplaced(_ name: String) throws {
        let spool = try Spool(folder: folder)
        let file = folder.appendingPathComponent(name)
        // A folder in its place: root, too, cannot read that.
        try FileManager.default.createDirectory(at: file, withIntermediateDirectories: false)
        let failure = #expect(throws: WorkerError.self) {
            switch name {
            case "worker-id": _ = try spool.workerID()
            case "worker-secret": _ = try Membership.secret(of: folder)
            default: _ = try Membership(of: folder)
            }
        }
        #expect(failure?.message.hasPrefix("cannot read \(file.path): ") == true, "\(String(describing: failure))")
    }

    private func record(_ results: [Undelivered], of other: AttemptReference? = nil) -> AttemptRecord {
        let input = JobInput(name: JobInput.exemplar, artifact: exemplar, fileName: "wall.png")
        let assignment = Assignment(attempt: other ?? ref, name: "wall", spec: "base: draft", inputs: [input])
        return AttemptRecord(assignment: assignment, resumptions: 1, results: results)
    }

    private func artifact(
        _ role: ArtifactRole, _ file: String, bytes: Int, of other: AttemptReference? = nil
    ) -> Undelivered {
        let offer = ArtifactOffer(
            attempt: other ?? ref, transferID: 9, role: role,
            artifact: Artifact(sha256: Self.digests[2], sizeBytes: bytes), iteration: 40)
        return Undelivered(id: 9, attempt: other ?? ref, content: .artifact(offer, file: file))
    }

    private var finish: Undelivered {
        let products: [ArtifactRole: String] = [
            .generator: Self.digests[2], .discriminator: Self.digests[3],
            .checkpoint: Self.digests[4],
        ]
        let completion = Completion(iteration: 40, products: products, trainingSeconds: 1, reportJSON: "{}")
        return Undelivered(id: 10, attempt: ref, content: .finish(completion))
    }

    private func write(_ name: String, bytes: Int, in spool: Spool) throws {
        try spool.create(ref)
        try Data(repeating: 1, count: bytes).write(to: spool.artifacts(of: ref).appendingPathComponent(name))
    }

    @Test func aRecordedAttemptIsThereForTheNextProcessAndAnUnrecordedOneIsRemoved() throws {
        let spool = try Spool(folder: folder)
        let other = AttemptReference(job: JobID(sequence: 2, salt: 0), number: 1)
        try spool.create(other)
        try write("checkpoint", bytes: 5, in: spool)
        try write("unfinished.partial", bytes: 2, in: spool)
        let kept = record([artifact(.checkpoint, "checkpoint", bytes: 5)])
        try spool.remember(kept)
        #expect(try Spool(folder: folder).recover() == [RecoveredAttempt(record: kept, canTrain: false)])
        // A power cut may leave a file with the right size but other bytes. Training on it would fail the job for good.
        try Data([2, 2, 0]).write(to: spool.input(exemplar.sha256, of: ref))
        #expect(try Spool(folder: folder).recover() == [RecoveredAttempt(record: kept, canTrain: false)])
        try Data(repeating: 2, count: 3).write(to: spool.input(exemplar.sha256, of: ref))
        #expect(try Spool(folder: folder).recover() == [RecoveredAttempt(record: kept, canTrain: true)])
        #expect(!FileManager.default.fileExists(atPath: spool.folder(of: other).path))
        #expect(try FileManager.default.contentsOfDirectory(atPath: spool.artifacts(of: ref).path) == ["checkpoint"])
        // With nothing left to deliver, the spool remembers nothing.
        try spool.remember(record([]))
        #expect(try Spool(folder: folder).recover() == [])
        #expect(!FileManager.default.fileExists(atPath: spool.folder(of: ref).path))
    }

    @Test func aRecordOfFilesThatAreGoneOrCutIsARecordWithoutThem() throws {
        let spool = try Spool(folder: folder)
        try write("checkpoint", bytes: 5, in: spool)
        try write("generator", bytes: 6, in: spool)
        let checkpoint = artifact(.checkpoint, "checkpoint", bytes: 5)
        try spool.remember(
            record([
                checkpoint, artifact(.snapshot, "gone", bytes: 1), artifact(.generator, "generator", bytes: 6), finish,
            ]))
        #expect(spool.recover().first?.record.results.map(\.id) == [9, 9, 10], "a snapshot is not missed")
        // A result without its generator does not count. The checkpoint still does.
        try write("generator", bytes: 4, in: spool)
        #expect(spool.recover().first?.record.results == [checkpoint])
    }

    @Test func aDamagedRecordIsNoRecordAndEndsNothing() throws {
        let spool = try Spool(folder: folder)
        for damage in 0..<3 {
            try write("checkpoint", bytes: 5, in: spool)
            try spool.remember(record([artifact(.checkpoint, "checkpoint", bytes: 5)]))
            let file = spool.folder(of: ref).appendingPathComponent("record.json")
            var text = try String(contentsOf: file, encoding: .utf8)
            switch damage {
            case 0: text.removeLast(text.count / 2)
            // A file's name must not lead out of the folder.
            case 1: text = text.replacing("\"checkpoint\"", with: "\"..\\/record.json\"")
            default: text = text.replacing("resumptions", with: "resumption")
            }
            try Data(text.utf8).write(to: file)
            #expect(spool.recover().allSatisfy { $0.record.results.isEmpty }, "damage \(damage)")
            spool.remove(ref)
        }
    }

    /// A result exists nowhere else while it is undelivered.
    @Test func filesWhoseRecordCannotBeReadAreSetAsideAndReported() throws {
        let spool = try Spool(folder: folder)
        try write("checkpoint", bytes: 5, in: spool)
        let record = spool.folder(of: ref).appendingPathComponent("record.json")
        func recover() -> [URL] {
            var kept: [URL] = []
            let recovered = spool.recover { folder, reason in
                kept.append(folder)
                #expect(!reason.isEmpty)
            }
            #expect(recovered.isEmpty)
            return kept
        }
        // As a later version writes it, and as a disk that fails shows it.
        try Data("{\"version\": 9}".utf8).write(to: record)
        let kept = spool.unreadable.appendingPathComponent(spool.folder(of: ref).lastPathComponent)
        #expect(recover().map(\.path) == [kept.path])
        #expect(!FileManager.default.fileExists(atPath: spool.folder(of: ref).path))
        #expect(try Data(contentsOf: kept.appendingPathComponent("reports/checkpoint")).count == 5)
        #expect(recover().isEmpty, "once")
        try FileManager.default.createDirectory(at: record, withIntermediateDirectories: true)
        #expect(recover().map(\.path) == [kept.path], "in place of the older folder of that name")
    }

    /// Otherwise one job's result would be delivered as another's.
    @Test func aRecordThatDoesNotBelongToItsFolderIsSetAside() throws {
        let spool = try Spool(folder: folder)
        func expectSetAside(_ data: Data, _ reason: String) throws {
            try write("checkpoint", bytes: 5, in: spool)
            try data.write(to: spool.folder(of: ref).appendingPathComponent("record.json"))
            var reasons: [String] = []
            let recovered = spool.recover { reasons.append($1) }
            #expect(recovered.isEmpty && reasons.count == 1 && reasons[0].hasPrefix(reason), "\(reasons)")
            let kept = spool.unreadable.appendingPathComponent(spool.folder(of: ref).lastPathComponent)
            #expect(FileManager.default.fileExists(atPath: kept.path + "/reports/checkpoint"))
        }
        let other = AttemptReference(job: JobID(sequence: 2, salt: 0), number: 1)
        let foreign = artifact(.checkpoint, "checkpoint", bytes: 5, of: other)
        try expectSetAside(record([foreign], of: other).encoded(), "a record of another attempt")
        try expectSetAside(record([foreign]).encoded(), "a record with a result of another attempt")

        let own = try record([artifact(.checkpoint, "checkpoint", bytes: 5)]).encoded()
        func changed(_ change: (inout [String: Any], inout [String: Any]) -> Void) throws -> Data {
            var stored = try #require(try JSONSerialization.jsonObject(with: own) as? [String: Any])
            var result = try #require((stored["results"] as? [[String: Any]])?.first)
            change(&stored, &result)
            stored["results"] = [result]
            return try JSONSerialization.data(withJSONObject: stored)
        }
        try expectSetAside(changed { $0["assignment"] = $1["message"] }, "a record without an assignment")
        try expectSetAside(changed { $1["message"] = $0["assignment"] }, "a record with a result of another kind")
        try expectSetAside(changed { $1["file"] = nil }, "a record with a result of another kind")
    }

    @Test func foldersThatWereSetAsideFirstGoFirst() throws {
        let spool = try Spool(folder: folder)
        for number in 1...Spool.unreadableKept + 3 {
            let attempt = AttemptReference(job: JobID(sequence: 1, salt: 0), number: number)
            try spool.create(attempt)
            try Data().write(to: spool.folder(of: attempt).appendingPathComponent("record.json"))
            #expect(spool.recover().isEmpty)
        }
        let kept = try FileManager.default.contentsOfDirectory(atPath: spool.unreadable.path)
        #expect(kept.count == Spool.unreadableKept)
        #expect(kept.contains { $0.hasSuffix("-\(Spool.unreadableKept + 3)") })
    }

    @Test func aReportedCheckpointBecomesTheInputAndOutlivesItsDelivery() throws {
        let spool = try Spool(folder: folder)
        try write("checkpoint", bytes: 5, in: spool)
        var assignment = record([]).assignment
        for (digest, bytes) in [(exemplar.sha256, 3), (Self.digests[7], 4)] {
            try Data(repeating: 2, count: bytes).write(to: spool.input(digest, of: ref))
        }
        assignment.checkpoint = StoredCheckpoint(
            iteration: 1, artifact: Artifact(sha256: Self.digests[2], sizeBytes: 5))
        for _ in 0..<2 { try spool.adopt("checkpoint", for: assignment) }
        spool.remove("checkpoint", of: ref)
        #expect(try Data(contentsOf: spool.input(Self.digests[2], of: ref)).count == 5)
        let names = try FileManager.default.contentsOfDirectory(atPath: spool.folder(of: ref).path)
        #expect(
            Set(names) == ["reports", exemplar.sha256, Self.digests[2]], "what it began from is gone")
    }

    @Test func attemptsOfOneJobDoNotShareAFolder() throws {
        let spool = try Spool(folder: folder)
        let next = AttemptReference(job: JobID(sequence: 1, salt: 0), number: 3)
        try spool.create(ref)
        try spool.create(next)
        try Data([1]).write(to: spool.artifacts(of: next).appendingPathComponent("checkpoint"))
        spool.remove("checkpoint", of: ref)
        spool.remove(ref)
        #expect(FileManager.default.fileExists(atPath: spool.artifacts(of: next).path + "/checkpoint"))
        #expect(!FileManager.default.fileExists(atPath: spool.folder(of: ref).path))
    }

    /// The disk must take as much as did not fit before. Otherwise the worker fetches the job and hands it back for ever.
    @Test func aFullDiskIsRecognisedByWhatItMustTake() throws {
        let spool = try Spool(folder: folder)
        #expect(spool.takesFiles(ofBytes: 32 << 20))
        let free = try #require(
            FileManager.default.attributesOfFileSystem(forPath: folder.path)[.systemFreeSize] as? UInt64)
        #expect(!spool.takesFiles(ofBytes: 2 * free))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["attempts"])
    }

    /// Otherwise a worker on such a disk would take no work again after one failed write.
    @Test func aDiskThatDoesNotSayWhatIsFreeIsTried() throws {
        let spool = try Spool(folder: folder)
        #expect(spool.takesFiles { _ in nil })
        #expect(!spool.takesFiles { _ in Int(Spool.probeBytes) - 1 })
        try FileManager.default.removeItem(at: folder)
        #expect(!spool.takesFiles { _ in nil })
    }

    @Test func aUsableFolderIsToldFromAnUnusableOne() throws {
        let spool = try Spool(folder: folder)
        #expect(spool.takesFiles())
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["attempts"])
        try FileManager.default.removeItem(at: folder)
        #expect(!spool.takesFiles())
    }

    @Test func aFolderThatIsAFileIsAnErrorThatNamesIt() throws {
        try Data().write(to: folder)
        let error = #expect(throws: WorkerError.self) { try Spool(folder: folder) }
        #expect(error?.message.contains(folder.path) == true)
    }

    @Test func aFolderHasOneWorkerAtATime() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("texloom-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        var lock: LockFile? = try Worker.lock(folder)
        let error = #expect(throws: WorkerError.self) { try Worker.lock(folder) }
        #expect(error?.message.contains("another worker") == true)
        // Each refusal closed its descriptor.
        let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count { descriptor in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(descriptor)")
            return target == folder.appendingPathComponent("worker.lock").path
        }
        #expect(open == 1)
        withExtendedLifetime(lock) {}
        lock = nil
        _ = try Worker.lock(folder)
    }
}
