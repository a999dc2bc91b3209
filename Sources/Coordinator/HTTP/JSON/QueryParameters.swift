import ClusterCore
import Foundation
import Hummingbird
import Protocol

/// The query of a request, read strictly: a misspelt parameter is an error, not a guess.
struct QueryParameters: Sendable {
    private var values: [String: String] = [:]
    /// The values of `label`, the one parameter that may be repeated.
    private var labelTexts: [String] = []

    /// - Parameter known: The names that the request may have, each once.
    /// - Throws: `Problem` (400), which names what is unknown, repeated or not percent-encoded UTF-8.
    init(_ request: Request, known: String...) throws {
        for (name, value) in try Self.pairs(request.uri.query ?? "", of: "query") {
            guard known.contains(name) else {
                throw Problem(
                    .badRequest,
                    "the query has the unknown parameter '\(name)'; expected \(known.joined(separator: ", "))"
                )
            }
            if name == "label" {
                labelTexts.append(value)
                continue
            }
            guard values.updateValue(value, forKey: name) == nil else {
                throw Problem(.badRequest, "\(name) is given more than once; expected one")
            }
        }
    }

    /// The fields of a page's form. A browser also sends empty fields, and links collect unrelated parameters: both are
    /// ignored.
    /// - Throws: `Problem` (400) for what is not percent-encoded UTF-8.
    init(form request: Request) throws {
        for (name, value) in try Self.pairs(request.uri.query ?? "", of: "query") where !value.isEmpty {
            if name == "label" { labelTexts.append(value) } else { values[name] = value }
        }
    }

    /// The fields of a query or a form, in their order. A plus means a space.
    /// - Parameter source: "query" or "form". Messages name a field and not its value, which may be a token.
    /// - Throws: `Problem` (400) for what is not percent-encoded UTF-8, and for U+0000.
    static func pairs(_ text: String, of source: String) throws -> [(name: String, value: String)] {
        try text.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            func decode(_ text: Substring) throws -> String {
                guard let plain = text.replacing("+", with: " ").removingPercentEncoding else {
                    throw Problem(.badRequest, "'\(parts[0])' in the \(source) is not percent-encoded UTF-8")
                }
                // SQLite would read the text only up to this character.
                guard !plain.utf8.contains(0) else {
                    throw Problem(
                        .badRequest, "'\(parts[0])' in the \(source) has the character U+0000; leave it out")
                }
                return plain
            }
            return (try decode(parts[0]), parts.count == 2 ? try decode(parts[1]) : "")
        }
    }

    /// - Throws: `Problem` (400) if the text is not a decimal number in the range.
    func number(_ name: String, default standard: Int, in range: ClosedRange<Int>) throws -> Int {
        guard let text = values[name] else { return standard }
        guard text.first != "+", let value = Int(text), range.contains(value) else {
            throw Problem(.badRequest, "\(name) is '\(text)'; expected \(range.lowerBound)...\(range.upperBound)")
        }
        return value
    }

    /// One of an enumeration's names.
    /// - Throws: `Problem` (400), which lists the names.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, of type: Choice.Type = Choice.self
    ) throws -> Choice? where Choice.RawValue == String {
        guard let text = values[name] else { return nil }
        guard let choice = Choice(rawValue: text) else {
            let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem(.badRequest, "\(name) is '\(text)'; expected one of \(names)")
        }
        return choice
    }

    /// The labels that a job must have, each as `label=key=value`.
    /// - Throws: `Problem` (400) if one is malformed, or a key has two values.
    func labels() throws -> [String: String] {
        var labels: [String: String] = [:]
        for text in labelTexts {
            guard let (key, value) = JobTags.label(text) else {
                throw Problem(.badRequest, "label is '\(text)'; expected key=value, such as seed=1")
            }
            if let problem = JobTags.problem(ofLabel: key, value) { throw Problem(.badRequest, problem) }
            guard labels.updateValue(value, forKey: key) ?? value == value else {
                throw Problem(.badRequest, "the label \(key) is given with two values; a job has one")
            }
        }
        return labels
    }

    /// - Throws: `Problem` (400) if no batch can have the name.
    func batch() throws -> String? {
        guard let name = values["batch"] else { return nil }
        if let problem = JobTags.problem(ofBatch: name) { throw Problem(.badRequest, problem) }
        return name
    }

    /// nil if absent or empty.
    func text(_ name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// A value that only this server writes and reads; nil if absent.
    /// - Throws: `Problem` (400), which says where the value comes from.
    func token<Token>(_ name: String, from source: String, _ read: (String) -> Token?) throws -> Token? {
        guard let text = values[name] else { return nil }
        guard let token = read(text) else {
            throw Problem(.badRequest, "\(name) is '\(text)'; expected \(source)")
        }
        return token
    }
}

extension JobQuery {
    /// The parameters of a list's query that select jobs.
    /// - Throws: `Problem` (400), which names the parameter, what was found and what is expected.
    init(_ query: QueryParameters, limit: Int, in limits: ClosedRange<Int>) throws {
        self.init(
            state: try query.choice("state"), name: query.text("name"), recipe: query.text("recipe"),
            batch: try query.batch(), labels: try query.labels(),
            order: try query.choice("sort") ?? .newest,
            after: try query.token("cursor", from: "the 'next' of the page before", JobCursor.init),
            limit: try query.number("limit", default: limit, in: limits))
    }

    /// What selects the jobs, as the parameters that are read above: for the links and forms of pages.
    var parameters: [URLQueryItem] { parametersWithinBatch + [URLQueryItem(name: "batch", value: batch)] }

    /// The same for the pages of a batch, whose paths name it.
    var parametersWithinBatch: [URLQueryItem] {
        [
            URLQueryItem(name: "state", value: state?.rawValue), URLQueryItem(name: "name", value: name),
            URLQueryItem(name: "recipe", value: recipe),
        ] + labelTexts.map { URLQueryItem(name: "label", value: $0) }
    }

    /// Each as `key=value`, by key.
    var labelTexts: [String] { JobTags.texts(ofLabels: labels) }
}
