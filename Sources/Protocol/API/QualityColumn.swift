/// Tells the quality figures among the columns of measurements by their names. TextureGAN spells these too
/// (`QualityFigure`).
public enum QualityColumn {
    private static let prefix = "quality_"

    public static func isQuality(_ column: String) -> Bool { column.hasPrefix(prefix) }

    /// The column's name without the prefix.
    public static func shortName(_ column: String) -> String { String(column.trimmingPrefix(prefix)) }

    /// The same in words, for pages.
    public static func title(_ column: String) -> String { shortName(column).replacing("_", with: " ") }
}
