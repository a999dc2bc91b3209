import Foundation

/// When a message is sent again, and when it is given up. All times are in seconds.
///
/// Two pauses: a message that was refused waits, so that the next ones come through; and its receiver rests, so that a
/// receiver that is away is asked once a minute, not once for each message.
enum RetrySchedule {
    /// A message keeps its place for three tries, so that a receiver that restarts gets everything in its order. Then it
    /// waits 10 s, twice as long after each further failure, up to an hour: about 30 tries a day.
    static let triesInPlace = 3
    static let firstPause = 10.0
    static let longestPause = 3600.0
    /// A receiver rests 1 s after a failure, twice as long after each further one in a row, up to a minute.
    static let firstRest = 1.0
    static let longestRest = 60.0
    /// How long a message is tried, counted from what happened or from the start of the coordinator, whichever came later.
    static let lifetime = 86_400.0
    /// After so many failures in a row the receiver was away: when it answers again, everything is due at once.
    static let failuresOfAbsence = 3

    /// - Parameters:
    ///   - failures: 1 or more.
    ///   - chance: 0..<1. It spreads pauses over the last quarter, so that many messages do not come back together.
    static func pause(afterFailures failures: Int, chance: Double) -> Double {
        guard failures >= triesInPlace else { return 0 }
        return spread(min(firstPause * pow(2, Double(failures - triesInPlace)), longestPause), chance)
    }

    static func rest(afterFailuresInARow failures: Int, chance: Double) -> Double {
        spread(min(firstRest * pow(2, Double(failures - 1)), longestRest), chance)
    }

    private static func spread(_ seconds: Double, _ chance: Double) -> Double { seconds * (1 - chance / 4) }
}
