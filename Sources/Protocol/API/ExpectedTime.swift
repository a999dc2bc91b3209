import Base
import Foundation

/// How long a training is expected to take, and how that is known.
public struct ExpectedTime: Codable, Sendable, Equatable {
    public enum Source: String, Codable, Sendable {
        /// How long finished jobs of the recipe took, with everything that belongs to a job.
        case finishedJobs
        /// How fast running jobs of the recipe are.
        case runningJobs
        /// A measurement of a few steps.
        case measurement
    }

    /// For one job in one slot.
    public var seconds: Double
    public var secondsPerIteration: Double
    public var source: Source
    /// How many jobs the time is taken from; 0 for a measurement.
    public var jobs: Int
    /// Where a measurement holds, in words that follow the time: "on a core like this machine's".
    public var place: String?

    public init(
        seconds: Double, secondsPerIteration: Double, source: Source, jobs: Int = 0, place: String? = nil
    ) {
        self.seconds = seconds
        self.secondsPerIteration = secondsPerIteration
        self.source = source
        self.jobs = jobs
        self.place = place
    }

    /// "about 4 minutes, as 3 finished jobs of this recipe took (41 ms an iteration)".
    public var text: String {
        "\(Self.about(seconds))\(origin) (\(Self.milliseconds(secondsPerIteration)) an iteration)"
    }

    /// The words that follow a time: where it holds, or which jobs it is taken from.
    public var origin: String {
        switch source {
        case .finishedJobs: ", as \(counted(jobs, "finished job")) of this recipe took"
        case .runningJobs: ", at the speed of \(counted(jobs, "running job")) of this recipe"
        case .measurement: place.map { " \($0)" } ?? ""
        }
    }

    /// A time that is accurate to about a tenth: "about 4 minutes".
    public static func about(_ seconds: Double) -> String { "about \(rounded(seconds))" }

    static func rounded(_ seconds: Double) -> String {
        func text(_ value: Double, _ unit: String) -> String {
            let digits = value < 10 && value != value.rounded() ? "%.1f" : "%.0f"
            return "\(String(format: digits, value)) \(unit)\(value == 1 ? "" : "s")"
        }
        func halves(_ value: Double) -> Double { value < 10 ? (2 * value).rounded() / 2 : value.rounded() }
        // Covers NaN, too.
        guard seconds >= 1.5 else { return "1 second" }
        switch min(seconds, 1e11) {
        case let short where short < 20: return text(short.rounded(), "second")
        case let short where short < 97.5: return text((short / 5).rounded() * 5, "second")
        case let middle where middle < 5370: return text((middle / 60).rounded(), "minute")
        case let long where long < 36 * 3600: return text(halves(long / 3600), "hour")
        case let days: return text(halves(days / 86_400), "day")
        }
    }

    /// "41 ms", or seconds for longer times.
    public static func milliseconds(_ seconds: Double) -> String {
        if seconds < 0.01 { return String(format: "%.1f ms", max(0, 1000 * seconds)) }
        if seconds < 0.9995 { return String(format: "%.0f ms", 1000 * seconds) }
        return String(format: seconds < 9.95 ? "%.1f s" : "%.0f s", min(seconds, 1e9))
    }
}
