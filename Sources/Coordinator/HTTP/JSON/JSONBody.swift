import Foundation
import HTTPTypes
import Hummingbird
import Protocol

/// Bodies in JSON.
enum JSONBody {
    /// A browser sends application/json across sites only after it has asked (CORS), which is refused.
    /// - Throws: `Problem` (415).
    static func requireType(_ request: Request) throws {
        let type = request.headers[.contentType]?.prefix { $0 != ";" }.trimmingCharacters(in: .whitespaces).lowercased()
        guard type == "application/json" else {
            throw Problem(
                .unsupportedMediaType,
                "the Content-Type is '\(request.headers[.contentType] ?? "")'; expected application/json")
        }
    }

    /// Read as strictly as queries: a selection without its misspelt member would select more.
    /// - Throws: `DecodingError`, or `Problem` (400), which names a member that is unknown.
    static func decode<Value: Decodable>(_ type: Value.Type, from data: Data) throws -> Value {
        let value = try APIFormat.decoder.decode(type, from: data)
        guard let body = try? JSONSerialization.jsonObject(with: data) else {
            throw Problem(.badRequest, "the body is not valid JSON, or a number in it is too large")
        }
        try requireKnownMembers(body, of: value, at: "")
        return value
    }

    /// The members that a type of the API has are its stored properties.
    private static func requireKnownMembers(_ json: Any, of value: Any, at path: String) throws {
        guard json is [String: Any] || json is [Any] else { return }
        let mirror = Mirror(reflecting: value)
        switch mirror.displayStyle {
        case .optional?:
            for (_, wrapped) in mirror.children { try requireKnownMembers(json, of: wrapped, at: path) }
        case .collection?:
            for (index, (element, child)) in zip(json as? [Any] ?? [], mirror.children).enumerated() {
                try requireKnownMembers(element, of: child.value, at: "\(path)[\(index)]")
            }
        case .struct?:
            let members = json as? [String: Any] ?? [:]
            let known = mirror.children.compactMap(\.label)
            if let unknown = members.keys.sorted().first(where: { !known.contains($0) }) {
                throw Problem(
                    .badRequest,
                    "\(path.isEmpty ? "the body" : path) has the unknown member '\(unknown.prefix(100))'; expected "
                        + known.joined(separator: ", "))
            }
            for case (let name?, let child) in mirror.children {
                guard let member = members[name] else { continue }
                try requireKnownMembers(member, of: child, at: path.isEmpty ? name : "\(path).\(name)")
            }
        default: return  // The keys of a dictionary are free.
        }
    }
}
