/// A recipe that the coordinator offers to those who submit from a browser.
public struct NamedRecipe: Codable, Sendable, Equatable {
    public var name: String
    /// One line for people.
    public var abstract: String
    /// Complete, as a job's `recipeYAML` takes it.
    public var yaml: String
    /// What is known of the time that a job takes; nil before anything is.
    public var expected: ExpectedTime?
    /// The same for people: how long, and how that is known.
    public var expectedText: String?
    /// How long alone: "about 4 minutes".
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
    /// Whether a time that is missing is being measured: asking again will tell it.
    public var isMeasuring: Bool

    public init(recipes: [NamedRecipe], isMeasuring: Bool = false) {
        self.recipes = recipes
        self.isMeasuring = isMeasuring
    }
}
