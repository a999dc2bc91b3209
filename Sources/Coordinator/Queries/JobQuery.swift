import Base
import ClusterCore
import Foundation
import GRDB
import Protocol

/// Selects jobs, their order, and the start of the page.
struct JobQuery: Sendable {
    var state: JobState?
    var kind: JobKind?
    /// Part of the name or of the result's name; the case of the letters A to Z does not matter.
    var name: String?
    /// The recipe's own name.
    var recipe: String?
    var batch: String?
    /// A job has all of them.
    var labels: [String: String] = [:]
    /// Only these jobs; nil: any.
    var ids: [JobID]?
    var order = JobOrder.newest
    var after: JobCursor?
    var limit: Int

    var filter: (conditions: [String], arguments: StatementArguments) {
        var conditions = ["TRUE"]
        var arguments = StatementArguments()
        if let state {
            conditions.append("state = ?")
            arguments += [state.rawValue]
        }
        if let kind {
            conditions.append("kind = ?")
            arguments += [kind.rawValue]
        }
        if let name {
            conditions.append("(instr(lower(result_name), lower(?)) > 0 OR instr(lower(name), lower(?)) > 0)")
            arguments += [name, name]
        }
        if let recipe {
            conditions.append("recipe IN (SELECT id FROM recipes WHERE recipes.name = ?)")
            arguments += [recipe]
        }
        if let batch {
            conditions.append("batch = ?")
            arguments += [batch]
        }
        for (key, value) in labels.sorted(by: { $0.key < $1.key }) {
            conditions.append("sequence IN (SELECT job FROM labels WHERE key = ? AND value = ?)")
            arguments += [key, value]
        }
        if let ids {
            // Ids hold no character that SQL gives a meaning.
            conditions.append("id IN (\(ids.map { "'\($0)'" }.joined(separator: ",")))")
        }
        return (conditions, arguments)
    }

    /// The start of the page: after the last job of the previous page. A job that comes or goes between two pages
    /// neither repeats nor hides another.
    var position: (conditions: [String], arguments: StatementArguments) {
        guard let after else { return ([], []) }
        let (key, isDescending) = (order.key, order.isDescending)
        let beyond = isDescending ? "<" : ">"
        // The sequence breaks ties: newest first, except in the oldest-first order.
        let tie = order == .oldest ? ">" : "<"
        return (
            ["(\(key) \(beyond) ? OR (\(key) = ? AND sequence \(tie) ?))"], [after.key, after.key, after.sequence]
        )
    }
}

/// The place of a job in an order, as the API returns it.
struct JobCursor: Sendable, Equatable {
    var key: DatabaseValue
    var sequence: Int64

    /// Opaque to clients: the key's type and value, and the sequence number, in base64url.
    var text: String {
        let value: String =
            switch key.storage {
            case .int64(let number): "i\(number)"
            case .double(let number): "d\(number)"
            case .string(let text): "s\(text)"
            case .null, .blob: "n"
            }
        return Data("\(sequence) \(value)".utf8).base64URL
    }

    init(key: DatabaseValue, sequence: Int64) {
        self.key = key
        self.sequence = sequence
    }

    init?(_ text: String) {
        guard let data = Data(base64URL: text), let plain = String(data: data, encoding: .utf8),
            let space = plain.firstIndex(of: " "), let sequence = Int64(plain[..<space])
        else { return nil }
        let value = plain[plain.index(after: space)...]
        let rest = String(value.dropFirst())
        switch value.first {
        case "i":
            guard let number = Int64(rest) else { return nil }
            key = number.databaseValue
        case "d":
            guard let number = Double(rest), number.isFinite else { return nil }
            key = number.databaseValue
        case "s": key = rest.databaseValue
        default: return nil
        }
        self.sequence = sequence
    }
}

/// The queued jobs of one recipe, and what its jobs have shown about its length.
struct RecipeLoad: Sendable {
    var queued: Int
    var isTraining: Bool
    /// Iterations that the checkpoints of the queued jobs hold.
    var iterationsDone: Int
    /// 0 until a job of the recipe has begun.
    var totalIterations: Int
    var secondsPerIteration: Double?

    /// Seconds of one slot's work; nil if the recipe's length or speed is unknown. Other work counts for nothing then: it
    /// takes seconds beside trainings of minutes to days.
    var seconds: Double? {
        guard totalIterations > 0, let secondsPerIteration else { return isTraining ? nil : 0 }
        return Double(max(0, queued * totalIterations - iterationsDone)) * secondsPerIteration
    }
}

extension JobOrder {
    /// The sort key in SQL, of a row of `jobs`; never null.
    var key: String {
        switch self {
        case .newest, .oldest: "sequence"
        case .name: "lower(result_name)"
        case .priority: "priority"
        case .ended: "IFNULL(finished_at, 0.0)"
        }
    }

    var isDescending: Bool { self == .newest || self == .priority || self == .ended }

    var sql: String { "\(key) \(direction), sequence \(tieDirection)" }

    /// The same order for the summaries of a page.
    var outerSQL: String { "sort_key \(direction), jobs.sequence \(tieDirection)" }

    private var direction: String { isDescending ? "DESC" : "ASC" }
    private var tieDirection: String { self == .oldest ? "ASC" : "DESC" }
}
