import Foundation

/// Markup under construction. Text goes in escaped; only `raw` does not escape.
struct HTML: Sendable {
    private(set) var markup = ""

    static func escape(_ text: String) -> String {
        var escaped = ""
        escaped.reserveCapacity(text.utf8.count)
        for character in text.unicodeScalars {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            // Control characters are no HTML; log lines may hold them.
            case let control where control.value < 0x20 && control != "\n" && control != "\t": escaped += "\u{FFFD}"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }

    mutating func raw(_ markup: String) { self.markup += markup }

    mutating func text(_ text: String) { markup += Self.escape(text) }

    /// `<name attributes>content</name>`, the attribute values escaped.
    mutating func element(
        _ name: String, _ attributes: KeyValuePairs<String, String>, _ content: (inout HTML) -> Void
    ) {
        open(name, attributes)
        content(&self)
        markup += "</\(name)>"
    }

    mutating func element(_ name: String, _ content: (inout HTML) -> Void) { element(name, [:], content) }

    mutating func element(_ name: String, _ attributes: KeyValuePairs<String, String>, _ content: String) {
        element(name, attributes) { $0.text(content) }
    }

    mutating func element(_ name: String, _ content: String) { element(name, [:], content) }

    /// An element without content: img, meta, br, hr.
    mutating func void(_ name: String, _ attributes: KeyValuePairs<String, String> = [:]) { open(name, attributes) }

    private mutating func open(_ name: String, _ attributes: KeyValuePairs<String, String>) {
        markup += "<\(name)"
        for (key, value) in attributes { markup += " \(key)=\"\(Self.escape(value))\"" }
        markup += ">"
    }
}
