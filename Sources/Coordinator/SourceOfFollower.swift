/// The training that other work follows, as far as it decides what that work needs.
public struct SourceOfFollower: Sendable {
    public var recipeYAML: String
    /// The exemplar's file name as the user knows it.
    public var fileName: String
    /// Of the exemplar, in pixels.
    public var width: Int
    public var height: Int
    /// Of a material, as its submission calls them; empty for a photograph.
    public var maps: [String] = []
}
