/// Everything that determines a training run. (Being written: see docs/recipes.md for the fields.)
public struct Recipe: Codable, Equatable, Sendable {
    public var name = "draft"
    public var iterations = 1
    public init() {}
    /// - Throws: `TrainingError` with the line and key at fault.
    public init(yaml: String, source: String) throws(TrainingError) {}
    public func yaml() -> String { "" }
}
extension TrainingRun {
    /// - Throws: `TrainingError`.
    public static func run(
        _ input: Input, wish: () -> Wish, report: (Report) -> Void
    ) throws(TrainingError) -> Outcome { .abandoned }
}
