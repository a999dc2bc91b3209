import Foundation

/// What the coordinator reads from a worker's report of a finished job.
struct TrainingReport {
    /// The worker's own summary of the figures.
    var verdict: String?
    /// The figures of the last snapshot, by the names of their columns.
    var quality: [String: Float]

    /// Nil if the text is no JSON object.
    init?(_ json: String) {
        guard let object = try? JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any] else {
            return nil
        }
        verdict = object["verdict"] as? String
        let figures = object["quality"] as? [String: Any] ?? [:]
        quality = figures.compactMapValues { ($0 as? NSNumber)?.floatValue }
            .filter { $0.key.hasPrefix("quality_") && $0.value.isFinite }
    }
}
