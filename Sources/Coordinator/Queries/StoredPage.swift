import GRDB

/// Some rows of a list, few enough to be held in memory and sent in one answer.
struct StoredPage<Entry: Sendable>: Sendable {
    /// About as many bytes of JSON. Names and lines come from workers, so a number of rows bounds nothing.
    static var maxBytes: Int { 4 << 20 }

    var entries: [Entry] = []
    /// Whether the list may go on.
    var hasMore = false

    /// - Parameter read: Returns an entry and its approximate size in JSON, in bytes.
    init(_ rows: RowCursor, limit: Int, read: (StoredRow) throws -> (Entry, bytes: Int)) throws {
        var bytes = 0
        while let row = try rows.next() {
            let (entry, size) = try read(StoredRow(row))
            entries.append(entry)
            bytes += size
            if bytes >= Self.maxBytes {
                hasMore = true
                return
            }
        }
        hasMore = entries.count == limit
    }
}
