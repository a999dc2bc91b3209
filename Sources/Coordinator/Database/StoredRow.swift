import GRDB

/// A row that throws on a wrong type. GRDB's subscripts end the process on a value of another type, and a damaged
/// database has such values.
struct StoredRow {
    let row: Row

    init(_ row: Row) { self.row = row }

    static func all(_ db: Database, sql: String, arguments: StatementArguments = []) throws -> [StoredRow] {
        try Row.fetchAll(db, sql: sql, arguments: arguments).map(StoredRow.init)
    }

    /// - Throws: `CoordinatorError` (storeUnavailable) if the column has no value of the requested type.
    subscript<Value: DatabaseValueConvertible>(column: String) -> Value {
        get throws {
            do {
                return try row.decode(forColumn: column)
            } catch is RowDecodingError {
                // GRDB's own message contains the whole row.
                let found: DatabaseValue? = row[column]
                throw Self.damaged(
                    "\(column) is \(found?.description.prefix(100) ?? "missing"), expected \(Value.self)")
            }
        }
    }

    /// The same for a number used in arithmetic: it must lie in `range`.
    subscript<Value: DatabaseValueConvertible & Comparable>(column: String, in range: ClosedRange<Value>) -> Value {
        get throws {
            let value: Value = try self[column]
            guard range.contains(value) else {
                throw Self.damaged("\(column) is \(value), expected \(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
    }

    private static func damaged(_ problem: String) -> CoordinatorError {
        CoordinatorError(
            .storeUnavailable, "the job store is damaged: \(problem); restore the data folder from a copy")
    }
}
