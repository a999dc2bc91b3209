import ClusterCore
import Yams

/// A recipe's own name. The coordinator reads nothing else in a recipe: the rest concerns only the worker.
enum RecipeName {
    static let unnamed = "custom"

    /// The top-level `name`, at most 100 bytes of it, or "custom" if there is none or the text is not YAML.
    static func read(from yaml: String) -> String {
        let name = (try? Yams.compose(yaml: yaml))?.mapping?["name"]?.scalar?.string.shortened(to: 100) ?? ""
        return name.isEmpty ? unnamed : name
    }
}
