import Yams

/// A recipe's own name. The coordinator reads nothing else in a recipe: the rest concerns only the worker.
enum RecipeName {
    static let unnamed = "custom"

    /// The top-level `name`, or "custom" if there is none or the text is not YAML.
    static func read(from yaml: String) -> String {
        guard let name = (try? Yams.compose(yaml: yaml))?.mapping?["name"]?.scalar?.string, !name.isEmpty else {
            return unnamed
        }
        return String(name.prefix(100))
    }
}
