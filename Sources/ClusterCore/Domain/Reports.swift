package struct AttemptStatus: Sendable, Equatable {
    package var attempt: AttemptReference
    package var iteration: Int
    package var totalIterations: Int
    package var secondsPerIteration: Double

    package init(
        attempt: AttemptReference, iteration: Int, totalIterations: Int, secondsPerIteration: Double
    ) {
        self.attempt = attempt
        self.iteration = iteration
        self.totalIterations = totalIterations
        self.secondsPerIteration = secondsPerIteration
    }
}

/// How much of its machine a worker's process uses, as the worker measures it. For display: no decision depends on it.
package struct WorkerLoad: Sendable, Equatable {
    /// On average since the previous heartbeat.
    package var coresBusy: Double
    package var residentBytes: Int
    /// The size of the files that wait for delivery.
    package var spoolBytes: Int
    /// Of the whole machine, averaged over a minute.
    package var loadAverage: Double

    package init(
        coresBusy: Double, residentBytes: Int, spoolBytes: Int, loadAverage: Double
    ) {
        self.coresBusy = coresBusy
        self.residentBytes = residentBytes
        self.spoolBytes = spoolBytes
        self.loadAverage = loadAverage
    }
}

package struct MetricsBlock: Sendable, Equatable {
    package var columns: [String]
    package var rows: [Row]

    package init(
        columns: [String], rows: [Row]
    ) {
        self.columns = columns
        self.rows = rows
    }

    /// About how many bytes the rows hold.
    var weightOfRows: Int { rows.reduce(0) { $0 + 64 + 4 * $1.values.count } }

    package struct Row: Sendable, Equatable {
        package var iteration: Int
        package var unixSeconds: Double
        /// One per column; NaN: not measured in this row.
        package var values: [Float]

        package init(
            iteration: Int, unixSeconds: Double, values: [Float]
        ) {
            self.iteration = iteration
            self.unixSeconds = unixSeconds
            self.values = values
        }
    }
}

/// The raw values are those of the wire and of the database.
package enum LogLevel: String, Sendable { case debug, info, warning, error }

package struct LogLine: Sendable, Equatable {
    package var unixSeconds: Double
    package var level: LogLevel
    package var message: String

    package init(
        unixSeconds: Double, level: LogLevel, message: String
    ) {
        self.unixSeconds = unixSeconds
        self.level = level
        self.message = message
    }

    /// About how many bytes it holds.
    var weight: Int { 64 + message.utf8.count }
}
