import Base
import ClusterCore
import Yams

/// A recipe's own name. The coordinator reads nothing else in a recipe: the rest concerns only the worker.
enum RecipeName {
    static let unnamed = "custom"

    /// The top-level `name`, at most 100 bytes of it, or "custom" if there is none, the text is not YAML, or its aliases
    /// could keep the parser forever.
    static func read(from yaml: String) -> String {
        guard !hasManyAliases(yaml: yaml) else { return unnamed }
        let name = (try? Yams.compose(yaml: yaml))?.mapping?["name"]?.scalar?.string.shortened(to: 100) ?? ""
        return name.isEmpty ? unnamed : name
    }
}
