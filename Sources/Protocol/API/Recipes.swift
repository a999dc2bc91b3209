/// A recipe that the coordinator offers to people who submit from a browser.
public struct NamedRecipe: Codable, Sendable, Equatable {
    public var name: String
    /// One line for people.
    public var abstract: String
    /// The complete recipe, as a job's `recipeYAML` takes it.
    public var yaml: String
    /// How long a job is expected to take; nil while this is unknown.
    public var expected: ExpectedTime?
    /// ``expected`` in words: how long, and how that is known.
    public var expectedText: String?
    /// Only how long: "about 4 minutes".
    public var aboutText: String?

    public init(name: String, abstract: String, yaml: String, expected: ExpectedTime? = nil) {
        self.name = name
        self.abstract = abstract
        self.yaml = yaml
        self.expected = expected
        expectedText = expected?.text
        aboutText = expected.map { ExpectedTime.about($0.seconds) }
    }
}

/// Answer of `GET /api/v1/recipes`: the first one is the default.
public struct RecipeList: Codable, Sendable, Equatable {
    public var recipes: [NamedRecipe]
    /// Whether the coordinator is measuring a missing time. A later request gets it.
    public var isMeasuring: Bool

    public init(recipes: [NamedRecipe], isMeasuring: Bool = false) {
        self.recipes = recipes
        self.isMeasuring = isMeasuring
    }
}
