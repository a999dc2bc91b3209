import Base
import Yams

extension Recipe {
    /// A named recipe with overrides of the form `key=value`, as in `--set`.
    /// - Throws: `TrainingError` (badRecipe) with the recipe, key or value at fault and the accepted ones.
    public init(named name: String, overrides: [String] = []) throws(TrainingError) {
        guard let recipe = Self.named.first(where: { $0.name == name }) else {
            let names = Self.named.map(\.name).joined(separator: ", ")
            throw TrainingError(
                .badRecipe, "unknown recipe '\(name)'; the named recipes are \(names)\(Self.hint(for: name))")
        }
        self = recipe
        try apply(overrides)
    }

    /// "; did you mean 'draft'?", or nothing if no named recipe is close to the name.
    public static func hint(for name: String) -> String {
        suggestion(for: name, among: named.map(\.name)).map { "; did you mean '\($0)'?" } ?? ""
    }

    /// Applies `key=value` overrides, then checks the whole.
    /// - Parameter option: the one that gave them, for errors.
    public mutating func apply(_ overrides: [String], from option: String = "--set") throws(TrainingError) {
        for override in overrides {
            guard let equals = override.firstIndex(of: "=") else {
                throw TrainingError(.badRecipe, "\(option) \(override): expected key=value")
            }
            try set(
                String(override[..<equals]), to: String(override[override.index(after: equals)...]),
                where: "\(option) \(override)")
        }
        try validate(source: "recipe '\(name)'")
    }

    /// Parses a recipe file: a YAML mapping of fields; `base: NAME` starts from a named recipe instead of `paper`.
    /// - Parameter source: the recipe's name in errors.
    public init(yaml: String, source: String) throws(TrainingError) {
        guard !hasManyAliases(yaml: yaml) else {
            throw TrainingError(.badRecipe, "\(source) has many aliases (*NAME); a recipe needs none")
        }
        let node: Node?
        do {
            node = try Yams.compose(yaml: yaml)
        } catch {
            throw TrainingError(.badRecipe, "\(source) is not YAML: \(error)")
        }
        guard let mapping = node?.mapping else {
            throw TrainingError(.badRecipe, "\(source) is not a recipe: expected a mapping of keys to values")
        }
        self = .paper
        var seen: Set<String> = []
        if let base = mapping["base"] {
            guard let name = base.scalar?.string else {
                throw TrainingError(.badRecipe, "\(source): base must be the name of a recipe")
            }
            try self.init(named: name)
        }
        for (key, value) in mapping {
            let place = "\(source), line \(key.mark?.line ?? 0)"
            guard let key = key.scalar?.string else { throw TrainingError(.badRecipe, "\(place): a key is not text") }
            guard seen.insert(key).inserted else { throw TrainingError(.badRecipe, "\(place): \(key) is given twice") }
            if key == "base" { continue }
            guard let text = value.scalar?.string else {
                throw TrainingError(.badRecipe, "\(place): \(key) must be a single value")
            }
            try set(key, to: text, where: place)
        }
        try validate(source: source)
    }

    /// The recipe as a file that explains every field. Reading it yields the same recipe.
    public func yaml() -> String {
        Self.fields.map { field in
            let value = field.read(self)
            let quoted =
                field.key == "name" ? "\"\(value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\"" : value
            return "# \(field.summary)\n\(field.key): \(quoted)\n"
        }.joined()
    }

    private mutating func set(_ key: String, to text: String, where place: String) throws(TrainingError) {
        guard let field = Self.fields.first(where: { $0.key == key }) else {
            let keys = Self.fields.map(\.key).joined(separator: ", ")
            throw TrainingError(.badRecipe, "\(place): unknown recipe field '\(key)'; the fields are \(keys)")
        }
        guard field.write(&self, text) else {
            throw TrainingError(.badRecipe, "\(place): \(key) cannot be '\(text)'; expected \(field.accepts)")
        }
    }

    private func validate(source: String) throws(TrainingError) {
        func require(_ holds: Bool, _ message: @autoclosure () -> String) throws(TrainingError) {
            if !holds { throw TrainingError(.badRecipe, "\(source): \(message())") }
        }
        let smallest = Self.smallestCrop(discriminatorLayers: discriminatorLayers)
        try require(
            k.map { $0 >= smallest } ?? true,
            "k (\(k ?? 0)) is too small for \(discriminatorLayers) discriminator layers, which need k >= \(smallest)")
        for (key, value) in start.architecture {
            let own = Self.fields.first { $0.key == key }?.read(self)
            try require(
                own == value,
                "start weights \(start.rawValue) are for networks with \(key)=\(value), and this recipe has "
                    + "\(key)=\(own ?? "?"): set start=random, or \(key)=\(value)")
        }
        try require(
            adversarialWeight > 0 || l1Weight > 0 || (style != nil && styleWeight > 0), "every loss has weight 0")
    }
}
