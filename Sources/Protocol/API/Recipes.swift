/// A recipe that the coordinator offers to those who submit from a browser.
public struct NamedRecipe: Codable, Sendable, Equatable {
    public var name: String
    /// One line for people.
    public var abstract: String
    /// Complete, as a job's `recipeYAML` takes it.
    public var yaml: String

    public init(name: String, abstract: String, yaml: String) {
        self.name = name
        self.abstract = abstract
        self.yaml = yaml
    }
}

/// Answer of `GET /api/v1/recipes`: the first one is the default.
public struct RecipeList: Codable, Sendable, Equatable {
    public var recipes: [NamedRecipe]

    public init(recipes: [NamedRecipe]) { self.recipes = recipes }
}
