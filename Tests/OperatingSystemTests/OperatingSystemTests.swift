import Foundation
import Testing

@testable import OperatingSystem

@Suite struct OperatingSystemTests {
    /// For some of these, Foundation alone says "NSCocoaErrorDomain 512".
    @Test func reasonsOfFailuresAreWordsOfTheSystem() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("file")
        try Data([0xFF]).write(to: file)
        func reason(_ body: () throws -> Void) -> String {
            do {
                try body()
                return "no failure"
            } catch {
                return error.systemReason
            }
        }
        let inner = file.appendingPathComponent("inner")
        #expect(
            reason { try FileManager.default.createDirectory(at: inner, withIntermediateDirectories: true) }
                == "Not a directory")
        #expect(reason { try Data([1]).write(to: folder, options: .atomic) } == "Is a directory")
        let missing = folder.appendingPathComponent("none/file")
        #expect(reason { try Data([1]).write(to: missing, options: .atomic) } == "No such file or directory")
        #expect(reason { _ = try Data(contentsOf: missing) } == "No such file or directory")
        #expect(
            reason { _ = try FileManager.default.attributesOfItem(atPath: missing.path) } == "No such file or directory"
        )
        #expect(reason { _ = try String(contentsOf: file, encoding: .utf8) } == "it is not UTF-8 text")
        #expect(
            reason { try Data([1]).write(to: URL(fileURLWithPath: "/dev/full")) } == "No space left on device")
        let long = folder.appendingPathComponent(String(repeating: "a", count: 300))
        #expect(reason { try Data([1]).write(to: long, options: .atomic) } == "File name too long")
        #expect(
            reason {
                let process = Process()
                process.executableURL = missing
                try process.run()
            } == "No such file or directory")
    }

    @Test func onlyFoundationsErrorsAreToldAsTheSystems() {
        struct Other: Error {}
        #expect(Other().systemMessage == nil && Other().systemReason == "Other()")
        do {
            _ = try Data(contentsOf: URL(fileURLWithPath: "/none/file"))
        } catch {
            #expect(error.systemMessage == "/none/file: No such file or directory")
        }
        do {
            _ = try JSONDecoder().decode([Int].self, from: Data("{}".utf8))
        } catch {
            #expect(error.systemMessage == nil && error.systemReason.contains("DecodingError"), "\(error.systemReason)")
        }
    }

    @Test func theSystemSaysWhatTheProcessAndItsDiskHave() throws {
        let memory = try #require(ProcessMemory.current)
        #expect(memory.residentBytes > 1 << 20 && memory.virtualBytes >= memory.residentBytes)
        #expect(Disk.freeBytes(at: FileManager.default.temporaryDirectory) ?? -1 >= 0)
        #expect(Disk.freeBytes(at: URL(fileURLWithPath: "/none/folder")) == nil)
    }

    @Test func diskSpaceBeyondEveryIntIsTheLargestInt() {
        #expect(Disk.bytes(blocks: 3, ofBytes: 4096) == 12288)
        for (blocks, size) in [(UInt64.max, 4096), (1 << 52, 4096), (1 << 51, 4096)] as [(UInt64, UInt64)] {
            #expect(Disk.bytes(blocks: blocks, ofBytes: size) == .max)
        }
    }

    @Test func foldersFollowTheirVariablesThenHomeThenTheAccount() {
        let home = ["HOME": "/home/weaver"]
        #expect(UserFolder.state.url(environment: home).path == "/home/weaver/.local/state/texloom")
        #expect(UserFolder.configuration.url(environment: home).path == "/home/weaver/.config/texloom")
        #expect(UserFolder.cache.url(environment: home).path == "/home/weaver/.cache/texloom")
        let moved = [
            "HOME": "/home/weaver", "XDG_STATE_HOME": "/state", "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": "here",
        ]
        #expect(UserFolder.state.url(environment: moved).path == "/state/texloom")
        #expect(UserFolder.cache.url(environment: moved).path == "/home/weaver/.cache/texloom")
        #expect(
            UserFolder.configuration.url(environment: moved).path == "/home/weaver/.config/texloom",
            "the specification ignores relative paths")
        let account = FileManager.default.homeDirectoryForCurrentUser.path
        #expect(UserFolder.cache.url(environment: [:]).path == "\(account)/.cache/texloom")
    }
}
