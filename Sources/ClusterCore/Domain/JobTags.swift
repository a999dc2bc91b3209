/// How people group jobs: by a batch, and by labels. A job keeps what its submission said.
public struct JobTags: Sendable, Hashable {
    /// An ``Identifier``; nil: the job belongs to no batch.
    public var batch: String?
    /// At most ``maxLabels``; a key is an ``Identifier``.
    public var labels: [String: String]

    public static let maxLabels = 32
    public static let maxLabelBytes = 200

    public init(batch: String? = nil, labels: [String: String] = [:]) {
        self.batch = batch
        self.labels = labels
    }

    /// What is wrong with the tags, in words that follow the name of the field; nil if nothing is.
    public var problem: String? {
        if let batch, let problem = Self.problem(ofBatch: batch) { return problem }
        guard labels.count <= Self.maxLabels else {
            return "labels has \(labels.count) labels; expected at most \(Self.maxLabels)"
        }
        return labels.sorted { $0.key < $1.key }.lazy.compactMap { Self.problem(ofLabel: $0, $1) }.first
    }

    /// What is wrong with the name of a batch; nil if nothing is. Addresses and shells take the name as it is.
    public static func problem(ofBatch name: String) -> String? {
        guard !Identifier.isValid(name) else { return nil }
        return
            "batch is '\(shown(name))'; expected 1...\(Limits.maxIdentifierBytes) letters, digits, dots, hyphens and "
            + "underscores, not beginning with a dot"
    }

    /// What is wrong with a label; nil if nothing is.
    public static func problem(ofLabel key: String, _ value: String) -> String? {
        guard Identifier.isValid(key) else {
            return
                "the label's key is '\(shown(key))'; expected 1...\(Limits.maxIdentifierBytes) letters, digits, dots, "
                + "hyphens and underscores, not beginning with a dot"
        }
        let hasControl = value.unicodeScalars.contains { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) }
        guard (1...maxLabelBytes).contains(value.utf8.count), !hasControl else {
            return
                "the label \(key) has the value '\(shown(value))'; expected 1...\(maxLabelBytes) bytes of text on one line"
        }
        return nil
    }

    /// `key=value`, as people write a label; nil if there is no equals sign.
    public static func label(_ text: String) -> (key: String, value: String)? {
        guard let equals = text.firstIndex(of: "=") else { return nil }
        return (String(text[..<equals]), String(text[text.index(after: equals)...]))
    }

    /// Labels as ``label(_:)`` reads them, by key.
    public static func texts(ofLabels labels: [String: String]) -> [String] {
        labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }

    private static func shown(_ text: String) -> String { text.count > 80 ? "\(text.prefix(80))..." : text }
}
