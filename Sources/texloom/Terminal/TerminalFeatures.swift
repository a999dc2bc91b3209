import Foundation

/// What the other end of a file descriptor can show.
struct TerminalFeatures: Sendable, Equatable {
    var isTerminal: Bool
    /// Whether it interprets escape sequences, so that screens and lines can be redrawn.
    var canDraw: Bool
    var hasColours: Bool
    /// Whether it shows block characters: the locale's encoding is UTF-8.
    var isUnicode: Bool

    init(descriptor: Int32, environment: [String: String] = ProcessInfo.processInfo.environment) {
        self.init(isTerminal: isatty(descriptor) == 1, environment: environment)
    }

    init(isTerminal: Bool, environment: [String: String]) {
        func set(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        self.isTerminal = isTerminal
        canDraw = isTerminal && set("TERM") != "dumb" && set("TERM") != nil
        // https://no-color.org: any value but the empty one.
        hasColours = canDraw && set("NO_COLOR") == nil
        // The C library's order.
        let locale = (set("LC_ALL") ?? set("LC_CTYPE") ?? set("LANG") ?? "").lowercased()
        isUnicode = locale.contains("utf-8") || locale.contains("utf8")
    }
}
