import ArgumentParser
import ClusterCore
import TextureGAN

/// The values of a recipe field that `--sweep` tries.
struct Sweep: Equatable {
    /// How many recipes all sweeps and seeds of a submission may make.
    static let maxRecipes = 1000

    let field: String
    /// At least one, each once.
    let values: [String]

    /// - Parameter text: `field=VALUE,VALUE,...` or `field=FIRST..LAST` for whole numbers.
    /// - Throws: `ValidationError`, which says what was found and what is expected.
    init(_ text: String) throws {
        func wrong(_ expected: String) -> ValidationError {
            ValidationError("--sweep '\(text.printable)': expected \(expected)")
        }
        guard let (field, list) = JobTags.label(text), Identifier.isValid(field), !list.isEmpty else {
            throw wrong("field=values, such as k=32,64 or seed=1..4")
        }
        if let range = list.firstRange(of: "..") {
            guard let first = Int(list[..<range.lowerBound]), let last = Int(list[range.upperBound...]), first <= last
            else { throw wrong("a range of whole numbers, such as seed=1..4") }
            let (span, overflows) = last.subtractingReportingOverflow(first)
            guard !overflows, span < Self.maxRecipes else {
                throw wrong("at most \(Self.maxRecipes) values")
            }
            values = (first...last).map(String.init)
        } else {
            values = list.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            guard !values.contains("") else { throw wrong("a value between two commas") }
            guard Set(values).count == values.count else { throw wrong("every value once") }
        }
        self.field = field
        for value in values {
            if let problem = JobTags.problem(ofLabel: field, value) {
                throw wrong("values that a label can have: \(problem)")
            }
        }
    }

    /// Checks several sweeps together.
    /// - Parameter seeds: Jobs for each combination.
    /// - Throws: `ValidationError`.
    static func validate(_ sweeps: [Sweep], seeds: Int, batch: String?) throws {
        guard !sweeps.isEmpty else { return }
        guard batch != nil else {
            throw ValidationError("--sweep makes the jobs of a batch: expected --batch NAME as well")
        }
        let fields = sweeps.map(\.field)
        if let twice = fields.first(where: { field in fields.count { $0 == field } > 1 }) {
            throw ValidationError("--sweep \(twice) is given twice; expected all of its values in one")
        }
        if seeds > 1, fields.contains("seed") {
            throw ValidationError("--seeds and --sweep seed both choose seeds; expected one of them")
        }
        var count = seeds
        for sweep in sweeps {
            count *= sweep.values.count
            guard count <= maxRecipes else {
                throw ValidationError(
                    "the sweeps make more than \(maxRecipes) jobs for each exemplar; expected at most \(maxRecipes): sweep "
                        + "fewer fields or values")
            }
        }
    }

    /// Every combination of the values, the last field's changing fastest.
    static func combinations(_ sweeps: [Sweep]) -> [[(field: String, value: String)]] {
        sweeps.reduce([[]]) { partial, sweep in
            partial.flatMap { chosen in sweep.values.map { chosen + [(sweep.field, $0)] } }
        }
    }
}

/// A recipe of a submission, and how its jobs differ from those of the others.
struct RecipeVariant {
    var recipe: Recipe
    /// Follows the exemplar's name.
    var suffix: String
    var labels: [String: String]

    /// One variant for each combination of swept values and each seed.
    /// - Throws: `TrainingError` if a swept value makes no recipe, `CommandFailure` if the seeds run out.
    static func all(of recipe: Recipe, _ sweeps: [Sweep], seeds: Int) throws -> [RecipeVariant] {
        var variants: [RecipeVariant] = []
        for chosen in Sweep.combinations(sweeps) {
            var swept = recipe
            try swept.apply(chosen.map { "\($0.field)=\($0.value)" }, from: "--sweep")
            guard swept.seed <= UInt64.max - UInt64(seeds - 1) else {
                throw CommandFailure(
                    "--seeds \(seeds): the recipe's seed \(swept.seed) is not followed by \(seeds - 1) others; expected a "
                        + "smaller one, such as --set seed=1", exit: .usage)
            }
            let suffix = chosen.map { "-\($0.field)\($0.value)" }.joined()
            let labels = Dictionary(uniqueKeysWithValues: chosen.map { ($0.field, $0.value) })
            for offset in 0..<UInt64(seeds) {
                var variant = RecipeVariant(recipe: swept, suffix: suffix, labels: labels)
                variant.recipe.seed += offset
                if offset > 0 { variant.suffix += "-seed\(variant.recipe.seed)" }
                variants.append(variant)
            }
        }
        return variants
    }
}
