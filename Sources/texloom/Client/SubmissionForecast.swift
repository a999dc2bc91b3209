import Base
import ClusterCore
import Protocol

/// How long submitted jobs take, alone and behind the cluster's present work.
struct SubmissionForecast {
    /// The cluster's work before the submission.
    struct Load: Equatable {
        var slots: Int
        var running: Int
        var queued: Int
        /// Until that work is done; nil: unknown.
        var seconds: Double?

        init(slots: Int, running: Int, queued: Int, seconds: Double?) {
            self.slots = slots
            self.running = running
            self.queued = queued
            self.seconds = seconds
        }

        init(_ summary: ClusterSummary) {
            self.init(
                slots: summary.slots, running: summary.count(.running),
                queued: summary.count(.queued), seconds: summary.queueSeconds)
        }
    }

    /// The expected time of each job.
    var times: [ExpectedTime]
    var load: Load

    /// "8 jobs, about 4 minutes each on a core like this machine's; with 2 slots about 17 minutes". Nil without jobs.
    var text: String? {
        guard let first = times.first else { return nil }
        if times.count == 1 { return first.text + (whole.map { "; \($0)" } ?? "") }
        let seconds = times.map(\.seconds)
        let (least, most) = (ExpectedTime.about(seconds.min() ?? 0), ExpectedTime.about(seconds.max() ?? 0))
        let each = least == most ? least : "\(least) to \(most.dropFirst("about ".count))"
        return "\(times.count) jobs, \(each) each\(first.origin)" + (whole.map { "; \($0)" } ?? "")
    }

    /// Nil if the time of one job says it all.
    private var whole: String? {
        guard load.slots > 0 else { return "no worker is connected" }
        let count = times.count
        let mean = times.map(\.seconds).reduce(0, +) / Double(count)
        let longest = times.map(\.seconds).max() ?? 0
        /// The time of so many jobs on the slots, round by round.
        func seconds(_ jobs: Int, _ slots: Int) -> Double {
            max(longest, Double((jobs + slots - 1) / slots) * mean)
        }
        let free = load.queued > 0 ? 0 : max(0, load.slots - load.running)
        if free == 0 {
            let ahead = counted(load.queued + load.running, "job")
            guard let before = load.seconds else { return "\(ahead) ahead on \(counted(load.slots, "slot"))" }
            return "with \(counted(load.slots, "slot")) \(ExpectedTime.about(before + seconds(count, load.slots))), "
                + "\(ahead) ahead included"
        }
        if count == 1 { return nil }
        // The busy slots join once the free ones have done their first jobs.
        let time = count <= free ? longest : mean + seconds(count - free, load.slots)
        let slots = free == load.slots ? counted(free, "slot") : "\(free) free of \(counted(load.slots, "slot"))"
        return "with \(slots) \(ExpectedTime.about(time))"
    }
}
