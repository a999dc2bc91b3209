import ArgumentParser
import ClusterCore
import Protocol

/// The names of jobs.
enum JobName {
    private static let maxBytes = JobSubmission.maxNameBytes

    /// A job's name, cut to what a coordinator takes; what follows it is kept.
    static func shortened(_ name: String, suffix: String = "") -> String {
        (name.shortened(to: max(1, maxBytes - suffix.utf8.count)) + suffix).shortened(to: maxBytes)
    }

    /// - Throws: `ValidationError` for a name that is not cut, because a person chose it.
    static func validate(_ name: String?) throws {
        guard let bytes = name?.utf8.count, !(1...maxBytes).contains(bytes) else { return }
        throw ValidationError("--name has \(bytes) bytes; expected 1 to \(maxBytes)")
    }
}
