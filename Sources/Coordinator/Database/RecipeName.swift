import Yams

/// What a recipe calls itself. The coordinator reads nothing else in it: its meaning is the worker's business.
enum RecipeName {
    static let unnamed = "custom"

    /// The top-level `name`, or "custom" if there is none or the text is no YAML.
    static func read(from yaml: String) -> String {
        guard let name = (try? Yams.compose(yaml: yaml))?.mapping?["name"]?.scalar?.string, !name.isEmpty else {
            return unnamed
        }
        return String(name.prefix(100))
    }
}
