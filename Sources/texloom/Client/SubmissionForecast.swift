import Base
import Protocol

/// How long jobs that were submitted will take, and a cluster with its present work with them.
struct SubmissionForecast {
    /// What the cluster had to do before.
    struct Load: Equatable {
        var slots: Int
        var running: Int
        var queued: Int
        /// Until that is done; nil: not known.
        var seconds: Double?

        init(slots: Int, running: Int, queued: Int, seconds: Double?) {
            self.slots = slots
            self.running = running
            self.queued = queued
            self.seconds = seconds
        }

        init(_ summary: ClusterSummary) {
            self.init(
                slots: summary.slots, running: summary.jobs[JobState.running.rawValue] ?? 0,
                queued: summary.jobs[JobState.queued.rawValue] ?? 0, seconds: summary.queueSeconds)
        }
    }

    /// Of each job.
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

    /// Nil where there is nothing to add to the time of a job.
    private var whole: String? {
        guard load.slots > 0 else { return "no worker is connected" }
        let count = times.count
        let mean = times.map(\.seconds).reduce(0, +) / Double(count)
        let longest = times.map(\.seconds).max() ?? 0
        /// Of so many slots, round by round.
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
        // The slots that are busy now help as soon as the free ones have had their first jobs.
        let time = count <= free ? longest : mean + seconds(count - free, load.slots)
        let slots = free == load.slots ? counted(free, "slot") : "\(free) free of \(counted(load.slots, "slot"))"
        return "with \(slots) \(ExpectedTime.about(time))"
    }
}
