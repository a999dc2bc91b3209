import Foundation
import Testing

@testable import texloom

@Suite struct SettingsTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func settings(_ yaml: String, _ environment: [String: String] = [:]) throws -> Settings {
        let file = scratch.url.appendingPathComponent("config.yaml")
        try Data(yaml.utf8).write(to: file)
        return try Settings(environment: environment.merging(["TEXLOOM_CONFIG": file.path]) { $1 })
    }

    private func refusal(of yaml: String) -> String {
        do {
            _ = try settings(yaml)
            return "none"
        } catch {
            return (error as? CommandFailure)?.message ?? "\(error)"
        }
    }

    @Test func settingsComeFromFlagThenEnvironmentThenFile() throws {
        let both = try settings("api: http://file:1\nslots: 3\n", ["TEXLOOM_API": "http://environment:1"])
        #expect(both[.api] == "http://environment:1" && both[.slots] == "3" && both[.recipe] == nil)
        #expect(try both.value(.slots, as: Int.self) == 3)
        #expect(try settings("api: http://file:1\n", ["TEXLOOM_API": ""])[.api] == "http://file:1", "empty is unset")
        #expect(try settings("")[.api] == nil && settings("# nothing\n")[.api] == nil)
        #expect(throws: CommandFailure.self) { try Settings(environment: ["TEXLOOM_CONFIG": scratch.path("none")]) }
    }

    @Test func aFileThatIsNotUnderstoodIsRefusedWithItsLine() {
        #expect(refusal(of: "- a list\n").contains("expected a mapping"))
        let misspelt = refusal(of: "api: http://file:1\nrecpie: fast\n")
        #expect(
            misspelt.contains("config.yaml") && misspelt.contains("line 2")
                && misspelt.contains("did you mean 'recipe'"))
        #expect(refusal(of: "slots: 1\nslots: 2\n").contains("slots"), "given twice")
        #expect(refusal(of: "slots: [1]\n").contains("line 1"))
    }

    @Test func anEmptyVariableIsNoAddress() throws {
        let result = try TexloomProcess.run(["list"], folder: scratch.url, environment: ["TEXLOOM_API": ""])
        #expect(!result.errors.contains("is not an address"), "\(result.errors)")
    }

    @Test func theHomeFolderIsTheOneOfHOME() throws {
        let config = scratch.url.appendingPathComponent(".config/texloom")
        try FileManager.default.createDirectory(at: config, withIntermediateDirectories: true)
        try Data("api: http://127.0.0.1:9\n".utf8).write(to: config.appendingPathComponent("config.yaml"))
        let result = try TexloomProcess.run(
            ["list"], folder: scratch.url,
            environment: ["HOME": scratch.url.path, "XDG_CONFIG_HOME": "", "TEXLOOM_API": "", "TEXLOOM_CONFIG": ""])
        #expect(result.status == 75 && result.errors.contains("http://127.0.0.1:9"), "\(result.errors)")
    }

    @Test func threadsAndOutAreSettings() throws {
        #expect(
            try TexloomProcess.run(["bench", "step"], folder: scratch.url, environment: ["TEXLOOM_THREADS": "many"])
                .status == 2)
        let bench = ["bench", "step", "--iterations", "1", "--json"] + TinyCluster.recipe(iterations: 10)
        let result = try TexloomProcess.run(bench, folder: scratch.url, environment: ["TEXLOOM_THREADS": "3"])
        #expect(result.output.contains("\"threads\" : 3"), "\(result.output)\(result.errors)")
    }

    /// docs/settings.md lists every setting with its variable, and every variable that the code reads.
    @Test func theTableOfVariablesIsComplete() throws {
        let table = try Project.text("docs/settings.md")
        for setting in Setting.allCases {
            #expect(table.contains("| `\(setting.rawValue)` | `\(setting.variable)` |"))
        }
        for folder in ["Sources", "Tests", "scripts", "Package.swift"] {
            let root = Project.folder.appendingPathComponent(folder)
            let files =
                [root]
                + (FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil)?
                    .compactMap { $0 as? URL } ?? [])
            for file in files {
                guard let text = try? String(contentsOf: file, encoding: .utf8) else { continue }
                for match in text.matches(of: /TEXLOOM_[A-Z][A-Z_]*[A-Z]/) where !match.0.hasPrefix("TEXLOOM_X") {
                    #expect(table.contains("`\(match.0)`"), "\(file.lastPathComponent) has \(match.0)")
                }
            }
        }
        for variable in ["XDG_STATE_HOME", "HOME", "NO_COLOR", "TERM", "LC_ALL", "no_proxy", "OPENBLAS_CORETYPE"] {
            #expect(table.contains("`\(variable)`"))
        }
    }
}
