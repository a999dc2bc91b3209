import Foundation

/// The parts of a worker's report of a finished job that people look at.
public struct TrainingReport {
    /// The worker's own summary of the figures.
    public var verdict: String?
    /// The figures of the last snapshot, by the names of their columns.
    public var quality: [String: Float]

    /// Nil if the text is no JSON object.
    public init?(_ json: String) {
        guard let object = try? JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any] else {
            return nil
        }
        verdict = object["verdict"] as? String
        let figures = object["quality"] as? [String: Any] ?? [:]
        quality = figures.compactMapValues { ($0 as? NSNumber)?.floatValue }
            .filter { QualityColumn.isQuality($0.key) && $0.value.isFinite }
    }
}
