import Hummingbird
import Protocol

/// The query of a request, read strictly: what is misspelt is answered, not guessed at.
typealias QueryParameters = Parameters

extension QueryParameters {
    /// - Throws: `Problem` (400) for what is no number of the range.
    func number(_ name: String, default standard: Int, in range: ClosedRange<Int>) throws -> Int {
        guard let text = self[name[...]] else { return standard }
        guard let value = Int(text), range.contains(value) else {
            throw Problem(.badRequest, "\(name) is '\(text)'; expected \(range.lowerBound)...\(range.upperBound)")
        }
        return value
    }

    /// One of an enumeration's names; nil if absent or empty, as a form's "all" is.
    /// - Throws: `Problem` (400) that lists the names.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, of type: Choice.Type = Choice.self
    ) throws -> Choice? where Choice.RawValue == String {
        guard let text = text(name) else { return nil }
        guard let choice = Choice(rawValue: text) else {
            let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem(.badRequest, "\(name) is '\(text)'; expected one of \(names)")
        }
        return choice
    }

    /// nil if absent or empty.
    func text(_ name: String) -> String? {
        guard let text = self[name[...]], !text.isEmpty else { return nil }
        return String(text)
    }
}

extension JobQuestion {
    /// - Throws: `Problem` (400) naming the parameter, what was found and what is expected.
    init(_ query: QueryParameters, limit: Int, in limits: ClosedRange<Int>) throws {
        self.init(
            state: try query.choice("state"), name: query.text("name"), recipe: query.text("recipe"),
            order: try query.choice("sort") ?? .newest,
            limit: try query.number("limit", default: limit, in: limits))
        if let text = query.text("cursor") {
            guard let cursor = JobCursor(text) else {
                throw Problem(.badRequest, "cursor is '\(text)'; expected the 'next' of the page before")
            }
            after = cursor
        }
    }
}
