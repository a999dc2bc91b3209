import Foundation
import Protocol
import Testing

@testable import Coordinator

@Suite("Audit log", .timeLimit(.minutes(10)))
struct AuditTests {
    @Test func everyChangeHasALineWithWhoWhatAndHowItEnded() async throws {
        let coordinator = try await RunningCoordinator { $0.requiresAuthentication = true }
        let (ann, root) = (try await coordinator.token(.submitter, name: "ann"), try await coordinator.token(.admin))
        let by = ["Authorization": "Bearer \(ann)"]
        let receipt = try await coordinator.send("POST", "/api/v1/exemplars", body: TestImages.png, headers: by)
            .decoded(ExemplarReceipt.self)
        let submission = JobSubmission(
            name: "<b>wood", fileName: "w.png", exemplarSHA256: receipt.sha256, recipeYAML: "recipe: draft")
        let body = try APIFormat.encoder.encode(SubmitJobsRequest(jobs: [submission]))
        let job = try await coordinator.send("POST", "/api/v1/jobs", body: body, headers: by)
            .decoded(SubmitJobsResponse.self).jobs[0]
        _ = try await coordinator.send("POST", "/api/v1/jobs/\(job.id)/cancel", headers: by)
        _ = try await coordinator.send("POST", "/api/v1/jobs/0000000000/retry", headers: by)
        _ = try await coordinator.send("POST", "/api/v1/jobs/0000000000/retry")
        _ = try await coordinator.logIn(ann)
        _ = try await coordinator.logIn("txl_wrong")

        let admin = ["Authorization": "Bearer \(root)"]
        let page = try await coordinator.get("/api/v1/audit", headers: admin).decoded(AuditPage.self)
        #expect(
            page.entries.map(\.action) == [
                "token.create", "token.create", "exemplar.store", "job.submit", "job.cancel", "job.retry",
                "session.open",
            ])
        let (local, cancel, retry) = (page.entries[0], page.entries[4], page.entries[5])
        #expect(local.who.hasPrefix("local:") && local.object == "ann (submitter)" && local.from == "this machine")
        #expect(cancel.who == "ann" && cancel.role == .submitter && cancel.from == "127.0.0.1")
        #expect(cancel.object == job.id && cancel.result == "ok" && abs(cancel.time.timeIntervalSinceNow) < 3600)
        #expect(retry.object == "0000000000" && retry.result.hasPrefix("404"))
        #expect(page.entries[3].object.hasPrefix(job.id))
        #expect(
            try await coordinator.get("/api/v1/audit?limit=2", headers: admin).decoded(AuditPage.self).entries.count
                == 2)

        #expect(try await coordinator.get("/audit", headers: by).status == 403)
        let shown = try await coordinator.get("/audit", headers: admin)
        #expect(shown.status == 200 && shown.text.contains("job.cancel") && !shown.text.contains("<b>wood"))
        let file = coordinator.folder.url.appendingPathComponent(AuditLog.name)
        var status = stat()
        #expect(stat(file.path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        let text = try String(contentsOf: file, encoding: .utf8)
        #expect(text.split(separator: "\n").count == page.entries.count)
        for secret in [ann, root] { #expect(!text.contains(secret.dropFirst(4))) }
        await coordinator.stop()
    }

    @Test func whatACallersRoleDoesNotAllowIsRecordedAndRefusalsOfStrangersAreNot() async throws {
        let coordinator = try await RunningCoordinator { $0.requiresAuthentication = true }
        let viewer = ["Authorization": "Bearer \(try await coordinator.token(.viewer, name: "vera"))"]
        let submitter = ["Authorization": "Bearer \(try await coordinator.token(.submitter, name: "sam"))"]
        let admin = ["Authorization": "Bearer \(try await coordinator.token(.admin))"]
        for path in ["/api/v1/jobs/0000000000/cancel", "/jobs/0000000000/delete"] {
            #expect(try await coordinator.send("POST", path, headers: viewer).status == 403)
            #expect(try await coordinator.send("POST", path).status == 401)
        }
        #expect(try await coordinator.send("POST", "/api/v1/tokens", headers: submitter).status == 403)
        // Nothing that changes something is there.
        #expect(try await coordinator.get("/api/v1/audit", headers: submitter).status == 403)
        #expect(try await coordinator.send("DELETE", "/api/v1/jobs", headers: submitter).status == 403)
        let entries = try await coordinator.get("/api/v1/audit", headers: admin).decoded(AuditPage.self).entries
            .filter { $0.action != "token.create" || $0.who == "sam" }
        #expect(entries.map(\.action) == ["job.cancel", "jobs.delete", "token.create"])
        #expect(entries.map(\.who) == ["vera", "vera", "sam"] && entries[0].object == "0000000000")
        #expect(entries.allSatisfy { $0.result.hasPrefix("403") && $0.result.contains("this needs") })
        await coordinator.stop()
    }

    @Test func fullFilesAreKeptAndOldOnesRemoved() throws {
        let folder = TemporaryFolder()
        let log = AuditLog(dataFolder: folder.url, maxBytes: 300)
        for index in 0..<100 {
            log.record(
                AuditEntry(who: "ann", role: .viewer, from: "::1", action: "a", object: "\(index)", result: "ok"))
        }
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
        #expect(Set(files) == Set(["audit.jsonl"] + (1...4).map { "audit.jsonl.\($0)" }))
        let newest = try log.newest(5).map(\.object)
        #expect(newest == ["95", "96", "97", "98", "99"])
        // A broken line hides no other, and control characters break no line.
        let file = try FileHandle(forWritingTo: folder.url.appendingPathComponent(AuditLog.name))
        try file.seekToEnd()
        try file.write(contentsOf: Data("{half\n".utf8))
        log.record(AuditEntry(who: "a\nb", role: nil, from: "::1", action: "a", object: "\u{1b}[31m", result: "ok"))
        #expect(try log.newest(2).last?.who == "a\nb")
    }

    @Test func aLineThatACrashCutOffDoesNotSpoilTheNextOne() throws {
        let folder = TemporaryFolder()
        try Data("{half".utf8).write(to: folder.url.appendingPathComponent(AuditLog.name))
        let log = AuditLog(dataFolder: folder.url)
        log.record(AuditEntry(who: "ann", role: nil, from: "::1", action: "a", object: "o", result: "ok"))
        #expect(try log.newest(1).map(\.who) == ["ann"])
    }

    private func owner(_ name: String, in folder: TemporaryFolder) -> uid_t? {
        var status = stat()
        return stat(folder.url.appendingPathComponent(name).path, &status) == 0 ? status.st_uid : nil
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
    func whatACommandOfRootsMakesBelongsToTheOwnerOfTheDataFolder() async throws {
        let folder = TemporaryFolder()
        let others = ["lost+found", "server-key"]
        try FileManager.default.createDirectory(
            at: folder.url.appendingPathComponent(others[0]), withIntermediateDirectories: true)
        try #require(chown(folder.url.path, 65534, 65534) == 0)
        let administration = try TokenAdministration(dataFolder: folder.url)
        try Data().write(to: folder.url.appendingPathComponent(others[1]))
        _ = try await administration.create(TokenRequest(name: "ann", role: .admin))
        for name in ["jobs.sqlite", "coordinator.lock", AuditLog.name] {
            #expect(owner(name, in: folder) == 65534, "\(name)")
        }
        for name in others { #expect(owner(name, in: folder) == 0, "\(name) is no command's") }
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
    func aCommandOfRootsThatFailsLeavesNoFileOfRoots() throws {
        let folder = TemporaryFolder()
        let database = folder.url.appendingPathComponent("jobs.sqlite")
        try Data("no database, whatever its name says".utf8).write(to: database)
        for path in [folder.url.path, database.path] { try #require(chown(path, 65534, 65534) == 0) }
        #expect(throws: CoordinatorError.self) { try TokenAdministration(dataFolder: folder.url) }
        #expect(owner("coordinator.lock", in: folder) == 65534)
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
    func aCoordinatorOfRootsKeepsItsFilesInAFolderOfAnotherUser() throws {
        let folder = TemporaryFolder()
        try Data().write(to: folder.url.appendingPathComponent("server-key"))
        try #require(chown(folder.url.path, 65534, 65534) == 0)
        let log = AuditLog(dataFolder: folder.url)
        log.record(AuditEntry(who: "ann", role: nil, from: "::1", action: "a", object: "o", result: "ok"))
        for name in ["server-key", AuditLog.name] { #expect(owner(name, in: folder) == 0, "\(name)") }
    }

    @Test func aLongFieldIsCutBetweenCharacters() throws {
        let folder = TemporaryFolder()
        let log = AuditLog(dataFolder: folder.url)
        // The 500th byte is in the middle of a character.
        let name = "x" + String(repeating: "é", count: 300)
        log.record(AuditEntry(who: name, role: nil, from: "::1", action: "a", object: name, result: "ok"))
        let entry = try #require(try log.newest(1).first)
        let expected = "x" + String(repeating: "é", count: 249) + "..."
        #expect(entry.who == expected && entry.object == expected && entry.result == "ok")
    }
}
