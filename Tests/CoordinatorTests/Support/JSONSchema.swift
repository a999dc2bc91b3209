import Foundation

/// A JSON value for inspection.
indirect enum JSON: Decodable, Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSON].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSON].self))
        }
    }

    init(_ data: Data) throws { self = try JSONDecoder().decode(JSON.self, from: data) }

    subscript(key: String) -> JSON? { members[key] }

    var members: [String: JSON] { if case .object(let members) = self { members } else { [:] } }
    var elements: [JSON] { if case .array(let elements) = self { elements } else { [] } }
    var text: String? { if case .string(let text) = self { text } else { nil } }
    var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The value's types in JSON Schema. An integer is also a number.
    var types: Set<String> {
        switch self {
        case .null: ["null"]
        case .bool: ["boolean"]
        case .integer: ["integer", "number"]
        case .number: ["number"]
        case .string: ["string"]
        case .array: ["array"]
        case .object: ["object"]
        }
    }
}

/// The part of JSON Schema (2020-12) that openapi.json uses. It is stricter in two ways, so that nothing goes
/// unchecked: an object must have only the described members, and an unknown keyword is a mistake.
struct JSONSchema {
    private static let annotations: Set = ["description", "default"]

    /// The document that references point into.
    let document: JSON

    /// The ways in which a value breaks the schema; empty if there are none.
    func mistakes(in value: JSON, against schema: JSON, at path: String = "$") -> [String] {
        var mistakes: [String] = []
        for (keyword, rule) in schema.members where !Self.annotations.contains(keyword) {
            mistakes += self.mistakes(in: value, keyword, rule, of: schema, at: path)
        }
        let isDescribed = schema["properties"] != nil || schema["additionalProperties"] != nil
        if case .object(let members) = value, schema["$ref"] == nil, isDescribed {
            let described = schema["properties"]?.members ?? [:]
            let others = schema["additionalProperties"].flatMap { $0 == .bool(false) ? nil : $0 }
            for (name, member) in members {
                let place = "\(path).\(name)"
                if let rule = described[name] ?? others {
                    mistakes += self.mistakes(in: member, against: rule, at: place)
                } else {
                    mistakes.append("\(place) is not described")
                }
            }
        }
        return mistakes
    }

    func resolve(_ node: JSON) -> JSON {
        guard let reference = node["$ref"]?.text else { return node }
        return reference.split(separator: "/").dropFirst().reduce(document) { $0[String($1)] ?? .null }
    }

    private func mistakes(
        in value: JSON, _ keyword: String, _ rule: JSON, of schema: JSON, at path: String
    ) -> [String] {
        func unless(_ isRight: Bool) -> [String] { isRight ? [] : ["\(path) is \(value); \(keyword) is \(rule)"] }
        let text = value.text
        switch keyword {
        case "$ref":
            let target = resolve(schema)
            return target == .null ? ["\(rule) is nowhere"] : mistakes(in: value, against: target, at: path)
        case "type":
            let allowed = rule.text.map { [$0] } ?? rule.elements.compactMap(\.text)
            return unless(!value.types.isDisjoint(with: allowed))
        case "anyOf":
            let found = rule.elements.map { mistakes(in: value, against: $0, at: path) }
            return found.contains([]) ? [] : found.flatMap(\.self)
        case "enum": return unless(rule.elements.contains(value))
        case "const": return unless(rule == value)
        case "required":
            return rule.elements.compactMap(\.text).filter { value[$0] == nil }.map { "\(path).\($0) is missing" }
        case "properties", "additionalProperties": return []
        case "propertyNames":
            return value.members.keys.flatMap { mistakes(in: .string($0), against: rule, at: "\(path).\($0)") }
        case "items":
            return value.elements.enumerated().flatMap { mistakes(in: $1, against: rule, at: "\(path)[\($0)]") }
        case "minItems": return unless(value.elements.count >= Int(rule.number!))
        case "maxItems": return unless(value.elements.count <= Int(rule.number!))
        case "maxProperties": return unless(value.members.count <= Int(rule.number!))
        case "minLength": return unless(text.map { $0.unicodeScalars.count >= Int(rule.number!) } ?? true)
        case "maxLength": return unless(text.map { $0.unicodeScalars.count <= Int(rule.number!) } ?? true)
        case "minimum": return unless(value.number.map { $0 >= rule.number! } ?? true)
        case "maximum": return unless(value.number.map { $0 <= rule.number! } ?? true)
        case "pattern":
            guard let pattern = try? Regex(rule.text!) else { return ["\(rule) is no pattern"] }
            return unless(text.map { $0.contains(pattern) } ?? true)
        case "format":
            switch rule.text {
            case "date-time": return unless((try? Date(text ?? "", strategy: .iso8601)) != nil)
            case "int64", "binary": return []
            default: return ["\(rule) is no format that is known here"]
            }
        default: return ["\(keyword) is no keyword that is known here"]
        }
    }
}
