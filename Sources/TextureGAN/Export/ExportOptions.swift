import Foundation

/// How a generator is written for other programs: the options of `texloom export`, and the spec of a job of kind `export`.
public struct ExportOptions: Equatable, Sendable {
    public enum Format: String, Sendable, CaseIterable { case onnx }

    public var format = Format.onnx
    public var statistics = NormStatistics.image

    public init(format: Format = .onnx, statistics: NormStatistics = .image) {
        self.format = format
        self.statistics = statistics
    }

    /// The file in the format.
    /// - Parameters:
    ///   - file: a generator or a checkpoint.
    ///   - sha256: of the file, in lower-case hexadecimal; asked for once the file is known to be a generator.
    ///   - name: the file's, for messages.
    /// - Throws: `TrainingError` for another file, `ExpansionFailure` for statistics that the generator lacks.
    public func model(of file: URL, sha256: @autoclosure () throws -> String, name: String) throws -> Data {
        let (network, recipe) = try Generator.load(contentsOf: file)
        try statistics.require(of: network, named: name)
        return network.onnx(
            statistics: statistics.norms,
            metadata: [
                ("recipe", recipe.yaml()), ("seed", String(recipe.seed)), ("generator_sha256", try sha256()),
                ("statistics", recipe.norm == .without ? "none" : statistics.rawValue),
            ])
    }
}

// The text of a job's spec.
extension ExportOptions: CustomStringConvertible {
    /// Reads NAME=VALUE, separated by commas; `onnx` alone is the format.
    /// - Throws: `ExpansionFailure` for an unknown name or a bad value.
    public init(_ text: String) throws(ExpansionFailure) {
        self.init()
        let first = text.prefix { $0 != "," }
        let isFormat = !first.isEmpty && !first.contains("=") && !["format", "statistics"].contains(first)
        let words = isFormat ? "format=\(text)" : text
        for (name, value) in try SpecText.pairs(of: words, flags: [:]) {
            switch name {
            case "format":
                guard let known = Format(rawValue: value) else {
                    throw ExpansionFailure("'\(value)' is not a format of export; expected onnx")
                }
                format = known
            case "statistics":
                guard let known = NormStatistics(rawValue: value) else {
                    throw SpecText.badValue(name, text, "image or running")
                }
                statistics = known
            default:
                throw ExpansionFailure("there is no option '\(name)' of export; expected format or statistics")
            }
        }
    }

    /// The same options give the same text, whatever was written.
    public var description: String {
        "format=\(format.rawValue)" + (statistics == .running ? ",statistics=running" : "")
    }
}
