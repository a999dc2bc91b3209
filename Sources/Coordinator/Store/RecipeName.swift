import Foundation

/// What a recipe calls itself. The coordinator looks at nothing else in it: what it means is the worker's business.
enum RecipeName {
    /// The value of the top-level `name:`, or "custom" if there is none that can be read on its line.
    static func read(from yaml: String) -> String {
        for line in yaml.split(whereSeparator: \.isNewline) where line.hasPrefix("name:") {
            var value = line.dropFirst("name:".count).trimmingCharacters(in: .whitespaces)
            if let quote = value.first, quote == "'" || quote == "\"" {
                value = String(value.dropFirst().prefix { $0 != quote })
            } else if let comment = value.range(of: " #") {
                value = value[..<comment.lowerBound].trimmingCharacters(in: .whitespaces)
            }
            if !value.isEmpty { return String(value.prefix(100)) }
        }
        return "custom"
    }
}
