extension Recipe {
    /// The fields that differ from the recipe `paper`, sorted by key. They identify a recipe, whatever its file looks
    /// like.
    ///
    /// Equal recipes have equal values, also across releases that add fields or reword their explanations.
    public var values: String { values(of: Self.fields) }

    /// The values without the seed: recipes that share them train variations of one texture.
    public var valuesButSeed: String { values(of: Self.fields.filter { $0.key != "seed" }) }

    private func values(of fields: [RecipeField]) -> String {
        fields.map { (key: $0.key, value: $0.read(self), standard: $0.read(.paper)) }
            .filter { $0.value != $0.standard }.sorted { $0.key < $1.key }
            .map { "\($0.key)=\($0.value)\n" }.joined()
    }

    /// The values of a recipe file; the text itself if this release cannot read it.
    public static func values(ofFile yaml: String) -> String {
        (try? Recipe(yaml: yaml, source: "the recipe"))?.values ?? yaml
    }
}
