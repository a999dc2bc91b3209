extension Recipe {
    /// What tells recipes apart, whatever their files look like: the fields that differ from the paper's, by key.
    ///
    /// Equal recipes have equal values, in this release and in those that add fields or reword their explanations.
    public var values: String { values(of: Self.fields) }

    /// The values without the seed: recipes that have the same train variations of one texture.
    public var valuesButSeed: String { values(of: Self.fields.filter { $0.key != "seed" }) }

    private func values(of fields: [RecipeField]) -> String {
        fields.map { (key: $0.key, value: $0.read(self), standard: $0.read(.paper)) }
            .filter { $0.value != $0.standard }.sorted { $0.key < $1.key }
            .map { "\($0.key)=\($0.value)\n" }.joined()
    }

    /// The values of a recipe file; the text itself if it is none that this release reads.
    public static func values(ofFile yaml: String) -> String {
        (try? Recipe(yaml: yaml, source: "the recipe"))?.values ?? yaml
    }
}
