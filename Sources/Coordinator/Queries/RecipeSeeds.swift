/// A recipe's seed, and the rest of the recipe.
public struct RecipeSeed: Sendable, Equatable {
    /// Equal for recipes that differ only in the seed.
    public var rest: String
    public var seed: UInt64

    public init(rest: String, seed: UInt64) {
        self.rest = rest
        self.seed = seed
    }
}

/// Finds recipes that differ only in the seed. Stored recipes never change, so it reads each once.
actor RecipeSeeds {
    /// A stored recipe in a family of recipes that differ only in the seed.
    struct Variation: Sendable {
        /// The same for the whole family.
        var family: Int
        var seed: UInt64
    }

    private let read: @Sendable (String) -> RecipeSeed?
    private var families: [String: Int] = [:]
    /// By row of the store; nil if the recipe is unreadable.
    private var known: [Int64: Variation?] = [:]

    init(_ read: @escaping @Sendable (String) -> RecipeSeed? = { _ in nil }) { self.read = read }

    /// The readable recipes, by their rows.
    func variations(_ rows: Set<Int64>, in store: JobStore) async throws -> [Int64: Variation] {
        let new = rows.filter { known[$0] == nil }
        if !new.isEmpty {
            for (row, yaml) in try await store.recipeTexts(new) {
                known[row] = .some(
                    read(yaml).map { recipe in
                        let family = families[recipe.rest] ?? families.count
                        families[recipe.rest] = family
                        return Variation(family: family, seed: recipe.seed)
                    })
            }
        }
        return Dictionary(uniqueKeysWithValues: rows.compactMap { row in (known[row] ?? nil).map { (row, $0) } })
    }
}
