import GRDB

/// A row as it is on disk. GRDB's own rows end the process over a value that is not what was written; a damaged database
/// has such, and is to be reported.
struct StoredRow {
    let row: Row

    init(_ row: Row) { self.row = row }

    static func all(_ db: Database, sql: String, arguments: StatementArguments = []) throws -> [StoredRow] {
        try Row.fetchAll(db, sql: sql, arguments: arguments).map(StoredRow.init)
    }

    /// - Throws: `CoordinatorError` (storeUnavailable) if the column has no value of the wanted type.
    subscript<Value: DatabaseValueConvertible>(column: String) -> Value {
        get throws {
            guard row.hasColumn(column) else { throw Self.damaged("column \(column) is missing") }
            let stored: DatabaseValue = row[column]
            guard let value = Value.fromDatabaseValue(stored) else {
                throw Self.damaged("\(column) is \(stored.description.prefix(100)), expected \(Value.self)")
            }
            return value
        }
    }

    /// The same for a number that arithmetic is done with.
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
