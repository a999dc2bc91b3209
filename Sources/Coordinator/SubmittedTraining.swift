/// A training, as far as it decides what it and the work that follows it need.
public struct SubmittedTraining: Sendable {
    public var recipeYAML: String
    /// The exemplar's file name as the user knows it.
    public var fileName: String
    /// Of the exemplar, in pixels.
    public var width: Int
    public var height: Int
    /// Of a material, as its submission calls them; empty for a photograph.
    public var maps: [String] = []
}
