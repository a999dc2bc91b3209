import Foundation

/// A user's folders by the XDG Base Directory Specification: the folder that the variable names, or else the default in
/// the home folder. A variable that is empty or not an absolute path counts as unset.
public enum UserFolder {
    /// Settings: `$XDG_CONFIG_HOME`, or `~/.config`.
    case configuration
    /// Data that must outlive caches and is not a setting: `$XDG_STATE_HOME`, or `~/.local/state`.
    case state
    /// Files that can be made or fetched again: `$XDG_CACHE_HOME`, or `~/.cache`.
    case cache

    /// texloom's folder in it.
    public func url(environment: [String: String] = ProcessInfo.processInfo.environment) -> URL {
        let (variable, usual) =
            switch self {
            case .configuration: ("XDG_CONFIG_HOME", ".config")
            case .state: ("XDG_STATE_HOME", ".local/state")
            case .cache: ("XDG_CACHE_HOME", ".cache")
            }
        let folder =
            Self.folder(variable, environment)
            ?? Self.home(environment).appendingPathComponent(usual, isDirectory: true)
        return folder.appendingPathComponent("texloom", isDirectory: true)
    }

    /// `$HOME` if it is set; otherwise the home folder of the account.
    static func home(_ environment: [String: String]) -> URL {
        folder("HOME", environment) ?? FileManager.default.homeDirectoryForCurrentUser
    }

    private static func folder(_ variable: String, _ environment: [String: String]) -> URL? {
        environment[variable].flatMap { $0.hasPrefix("/") ? URL(fileURLWithPath: $0, isDirectory: true) : nil }
    }
}
