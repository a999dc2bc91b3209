import ArgumentParser
import Foundation
import Machine
import TextureGAN
import Yams

/// What a flag falls back on: the environment (`TEXLOOM_API` for `--api`), then the configuration file.
struct Settings: Sendable {
    private let environment: [String: String]
    private let file: [String: String]

    static let current = Result { try Settings(environment: ProcessInfo.processInfo.environment) }

    /// - Throws: `CommandFailure` if the configuration file is there and unreadable.
    init(environment: [String: String]) throws {
        self.environment = environment
        let explicit = environment["TEXLOOM_CONFIG"]
        let home =
            environment["XDG_CONFIG_HOME"].flatMap { $0.isEmpty ? nil : URL(fileURLWithPath: $0) }
            ?? FileManager.default.homeDirectoryForCurrentUser.appendingPathComponent(".config")
        let url = explicit.map { URL(fileURLWithPath: $0) } ?? home.appendingPathComponent("texloom/config.yaml")
        guard explicit != nil || FileManager.default.fileExists(atPath: url.path) else {
            file = [:]
            return
        }
        do {
            let node = try Yams.compose(yaml: String(contentsOf: url, encoding: .utf8))
            var values: [String: String] = [:]
            if let node {
                guard let mapping = node.mapping else { throw CommandFailure("expected a mapping of keys to values") }
                for (key, value) in mapping {
                    guard let key = key.scalar?.string, let value = value.scalar?.string else {
                        throw CommandFailure("line \(key.mark?.line ?? 0): expected 'key: value'")
                    }
                    values[key] = value
                }
            }
            file = values
        } catch {
            let reason = (error as? CommandFailure)?.message ?? "\(error)"
            throw CommandFailure("configuration file \(url.path): \(reason)", exit: .usage)
        }
    }

    /// The value for a flag's name without its dashes.
    subscript(flag: String) -> String? {
        environment["TEXLOOM_" + flag.uppercased().replacing("-", with: "_")] ?? file[flag]
    }

    /// - Throws: `CommandFailure` if the value is there and not of the type.
    func value<Value: LosslessStringConvertible>(_ flag: String, as type: Value.Type) throws -> Value? {
        guard let text = self[flag] else { return nil }
        guard let value = Value(text) else {
            let expected = type == Bool.self ? "true or false" : "a number"
            throw CommandFailure("the setting \(flag) is '\(text)', expected \(expected)", exit: .usage)
        }
        return value
    }
}

/// `--recipe` and `--set`.
struct RecipeOptions: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "A named recipe (draft: minutes, fast: hours, paper: days) or a recipe file.", valueName: "name-or-file"))
    var recipe: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Overrides a field of the recipe; 'texloom recipes' explains them.", valueName: "key=value"))
    var overrides: [String] = []

    static let standard = "draft"

    /// - Throws: `TrainingError` naming what is wrong.
    func resolve() throws -> Recipe {
        let name = try recipe ?? Settings.current.get()["recipe"] ?? Self.standard
        if Recipe.named.contains(where: { $0.name == name }) { return try Recipe(named: name, overrides: overrides) }
        guard FileManager.default.fileExists(atPath: name) else {
            let names = Recipe.named.map(\.name).joined(separator: ", ")
            throw CommandFailure(
                "there is no recipe '\(name)': neither a named one (\(names)) nor a file", exit: .usage)
        }
        let yaml: String
        do {
            yaml = try String(contentsOfFile: name, encoding: .utf8)
        } catch {
            throw CommandFailure("recipe file \(name) cannot be read as text", exit: .usage)
        }
        var recipe = try Recipe(yaml: yaml, source: name)
        try recipe.apply(overrides)
        return recipe
    }
}

/// - Throws: `ValidationError` unless a number of threads is one that a machine can have.
func requireThreads(_ threads: Int?) throws {
    guard (1...1024).contains(threads ?? 1) else {
        throw ValidationError("--threads \(threads ?? 0): expected 1 to 1024")
    }
}

/// Processors that this process may use.
func availableCores() -> Int { MachineAllowance.current.processors }
