/// Rows of cells as aligned lines.
struct TextTable {
    struct Column {
        var title: String
        /// A table that is too wide loses its least important columns first; columns with nil stay.
        var importance: Int?
        var alignsRight = false
    }

    var columns: [Column]
    var rows: [[StyledText]]
    private static let gap = 2

    /// The titles and the rows, without empty columns.
    /// - Parameter width: columns of the terminal; nil: as wide as the table needs.
    func lines(width: Int? = nil) -> [StyledText] {
        var shown = columns.indices.filter { column in rows.contains { !$0[column].isEmpty } }
        let widths = columns.indices.map { column in
            max(columns[column].title.columns, rows.map { $0[column].width }.max() ?? 0)
        }
        if let width {
            while shown.map({ widths[$0] }).reduce(0, +) + Self.gap * (shown.count - 1) > width,
                let least = shown.filter({ columns[$0].importance != nil }).min(by: {
                    columns[$0].importance! < columns[$1].importance!
                })
            {
                shown.removeAll { $0 == least }
            }
        }
        let titles = columns.map { StyledText($0.title, .faint) }
        return ([titles] + rows).map { row in
            let line = shown.map { column in
                // No blanks at the end of a line.
                column == shown.last && !columns[column].alignsRight
                    ? row[column] : row[column].padded(to: widths[column], left: columns[column].alignsRight)
            }.joined(separator: String(repeating: " ", count: Self.gap))
            return width.map(line.fitted) ?? line
        }
    }
}
