import ArgumentParser
import Base
import Foundation
import Machine
import OperatingSystem
import TextureGAN
import Yams

/// A flag that can also be set in the environment or in the configuration file; docs/settings.md explains each.
enum Setting: String, CaseIterable {
    case api, recipe, out, threads, token
    case tokenFile = "token-file"
    case apiCA = "api-ca"
    case coordinator, slots, name
    case workerData = "worker-data"
    case lifetime
    case lifetimeStagger = "lifetime-stagger"
    case idleExit = "idle-exit"
    case data, http, workers, advertise, lease, heartbeat, stall, retries
    case checkpointDays = "checkpoint-days"
    case snapshotsKept = "snapshots-kept"
    case quota
    case notify
    case notifySecret = "notify-secret"
    case notifyCommand = "notify-command"
    case notifyOn = "notify-on"
    case publicURL = "public-url"
    case insecure
    case requireAuth = "require-auth"
    case tlsCertificate = "tls-certificate"
    case tlsKey = "tls-key"
    case allowedHost = "allowed-host"
    case logLevel = "log-level"
    case logFormat = "log-format"

    /// `TEXLOOM_LOG_LEVEL` for log-level.
    var variable: String { "TEXLOOM_" + rawValue.uppercased().replacing("-", with: "_") }
}

/// What a flag falls back on: the environment (`TEXLOOM_API` for `--api`), then the configuration file.
struct Settings: Sendable {
    private let environment: [String: String]
    private let file: [Setting: String]

    static let current = Result { try Settings(environment: ProcessInfo.processInfo.environment) }

    /// - Throws: `CommandFailure` if the configuration file exists and is unreadable, or has an unknown key.
    init(environment: [String: String]) throws {
        self.environment = environment
        let explicit = environment["TEXLOOM_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
        let url =
            explicit.map { URL(fileURLWithPath: $0) }
            ?? UserFolder.configuration.url(environment: environment).appendingPathComponent("config.yaml")
        guard explicit != nil || FileManager.default.fileExists(atPath: url.path) else {
            file = [:]
            return
        }
        do {
            file = try Self.read(String(contentsOf: url, encoding: .utf8))
            if file[.token] != nil { try SecretFile.requirePrivate(url) }
        } catch {
            let reason = (error as? CommandFailure)?.message ?? error.systemReason
            throw CommandFailure("configuration file \(url.path): \(reason)", exit: .usage)
        }
    }

    private static func read(_ yaml: String) throws -> [Setting: String] {
        guard !hasManyAliases(yaml: yaml) else {
            throw CommandFailure("many aliases (*NAME); a file of settings needs none")
        }
        guard let node = try Yams.compose(yaml: yaml) else { return [:] }
        guard let mapping = node.mapping else { throw CommandFailure("expected a mapping of keys to values") }
        var values: [Setting: String] = [:]
        for (key, value) in mapping {
            let line = "line \(key.mark?.line ?? 0)"
            guard let key = key.scalar?.string, let value = value.scalar?.string else {
                throw CommandFailure("\(line): expected 'key: value'")
            }
            guard let setting = Setting(rawValue: key) else {
                let names = Setting.allCases.map(\.rawValue)
                let hint = suggestion(for: key, among: names).map { " (did you mean '\($0)'?)" } ?? ""
                throw CommandFailure(
                    "\(line): there is no setting '\(key)'\(hint); the settings are \(names.joined(separator: ", "))")
            }
            guard values.updateValue(value, forKey: setting) == nil else {
                throw CommandFailure("\(line): \(key) is given twice")
            }
        }
        return values
    }

    /// A setting's text; an empty variable counts as unset.
    subscript(setting: Setting) -> String? {
        environment[setting.variable].flatMap { $0.isEmpty ? nil : $0 } ?? file[setting]
    }

    /// The entries of a setting; none if it is not set.
    func list(_ setting: Setting) -> [String] { self[setting].map(Self.entries(of:)) ?? [] }

    /// The entries of a list, which commas or spaces separate.
    static func entries(of list: String) -> [String] {
        list.split(whereSeparator: { $0 == "," || $0 == " " }).map(String.init)
    }

    /// - Throws: `CommandFailure` if the setting exists and is not of the type.
    func value<Value: LosslessStringConvertible>(_ setting: Setting, as type: Value.Type) throws -> Value? {
        guard let text = self[setting] else { return nil }
        guard let value = Value(text) else {
            let expected = type == Bool.self ? "true or false" : "a number"
            throw CommandFailure("the setting \(setting.rawValue) is '\(text)', expected \(expected)", exit: .usage)
        }
        return value
    }
}

/// `--recipe` and `--set`.
struct RecipeOptions: ParsableArguments {
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "A named recipe (draft: minutes, study: ten minutes, fast: hours, paper: days) or a recipe file.",
            valueName: "name-or-file"))
    var recipe: String?

    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Overrides a field of the recipe; 'texloom recipes' explains them.", valueName: "key=value"))
    var overrides: [String] = []

    static let standard = "draft"

    /// - Throws: `TrainingError` naming what is wrong.
    func resolve() throws -> Recipe {
        let name = try recipe ?? Settings.current.get()[.recipe] ?? Self.standard
        if Recipe.named.contains(where: { $0.name == name }) { return try Recipe(named: name, overrides: overrides) }
        let isFile: Bool
        do {
            isFile = try fileExists(at: URL(fileURLWithPath: name))
        } catch {
            throw CommandFailure("recipe file \(name) cannot be read: \(error.reason)", exit: .usage)
        }
        guard isFile else {
            let names = Recipe.named.map(\.name).joined(separator: ", ")
            throw CommandFailure(
                "there is no recipe '\(name)': neither a named one (\(names)) nor a file\(Recipe.hint(for: name))",
                exit: .usage)
        }
        let yaml: String
        do {
            yaml = try String(contentsOfFile: name, encoding: .utf8)
        } catch {
            throw CommandFailure("recipe file \(name) cannot be read: \(error.systemReason)", exit: .usage)
        }
        var recipe = try Recipe(yaml: yaml, source: name)
        try recipe.apply(overrides)
        return recipe
    }
}

extension NameSpecification {
    /// The option that names a command's output; `train` and `gather` call theirs --out.
    static let output: NameSpecification = [.customShort("o"), .customLong("output"), .customLong("out")]
}

/// - Throws: `ValidationError` for a number of threads that no machine has.
func requireThreads(_ threads: Int?) throws {
    guard (1...1024).contains(threads ?? 1) else {
        throw ValidationError("--threads \(threads ?? 0): expected 1 to 1024")
    }
}

/// The threads of a computing command: by its flag, or the setting, or else one for each processor that the process may
/// use.
/// - Throws: `CommandFailure` if the setting is not a number of threads.
func chosenThreads(_ flag: Int?) throws -> Int {
    if let flag { return flag }
    guard let text = try Settings.current.get()[.threads], text != "auto" else {
        return MachineAllowance.current.processors
    }
    guard let threads = Int(text), (1...1024).contains(threads) else {
        throw CommandFailure("the setting threads is '\(text)', expected 1 to 1024, or auto", exit: .usage)
    }
    return threads
}

/// Where results go: the flag, the setting, `out` in the current folder.
func outFolder(_ flag: String?) throws -> URL {
    URL(fileURLWithPath: try flag ?? Settings.current.get()[.out] ?? "out", isDirectory: true)
}
