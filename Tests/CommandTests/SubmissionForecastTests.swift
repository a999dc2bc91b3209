import Protocol
import Testing

@testable import texloom

@Suite struct SubmissionForecastTests {
    private func text(
        _ seconds: [Double], _ source: ExpectedTime.Source = .measurement, jobs: Int = 0, slots: Int, running: Int = 0,
        queued: Int = 0, ahead: Double? = 0
    ) -> String? {
        let times = seconds.map {
            ExpectedTime(
                seconds: $0, secondsPerIteration: 0.041, source: source, jobs: jobs,
                place: source == .measurement ? "on a core like this machine's" : nil)
        }
        let load = SubmissionForecast.Load(slots: slots, running: running, queued: queued, seconds: ahead)
        return SubmissionForecast(times: times, load: load).text
    }

    private let eight = [Double](repeating: 252, count: 8)

    @Test func jobsAreSpreadOverFreeSlots() {
        let each = "8 jobs, about 4 minutes each on a core like this machine's"
        #expect(text(eight, slots: 2) == "\(each); with 2 slots about 17 minutes")
        // Nine jobs take five rounds on two slots.
        #expect(text(eight + [252], slots: 2)?.hasSuffix("with 2 slots about 21 minutes") == true)
        #expect(text(eight, slots: 16) == "\(each); with 16 slots about 4 minutes")
        // One job in the free slot, then seven in both.
        #expect(text(eight, slots: 2, running: 1) == "\(each); with 1 free of 2 slots about 21 minutes")
        #expect(text(eight, slots: 0) == "\(each); no worker is connected")
    }

    @Test func jobsAheadAreCounted() {
        #expect(
            text(eight, slots: 2, running: 2, queued: 3, ahead: 720)?.hasSuffix(
                "; with 2 slots about 29 minutes, 5 jobs ahead included") == true)
        #expect(text(eight, slots: 2, running: 2, ahead: nil)?.hasSuffix("; 2 jobs ahead on 2 slots") == true)
        // One job waits: the free slot cannot run it, or is about to start it.
        #expect(text(eight, slots: 2, queued: 1, ahead: 0)?.hasSuffix("1 job ahead included") == true)
    }

    @Test func oneJobIsToldWithItsIteration() {
        let one = "about 4 minutes on a core like this machine's (41 ms an iteration)"
        #expect(text([252], slots: 2) == one)
        #expect(text([252], slots: 0) == "\(one); no worker is connected")
        #expect(
            text([252], slots: 1, running: 1, ahead: 60)
                == "\(one); with 1 slot about 5 minutes, 1 job ahead included")
        #expect(text([], slots: 2) == nil)
    }

    @Test func jobsOfDifferentLengthsAndSourcesAreTold() {
        #expect(
            text([252, 252], .finishedJobs, jobs: 3, slots: 2)
                == "2 jobs, about 4 minutes each, as 3 finished jobs of this recipe took; with 2 slots about 4 minutes")
        // Slots cannot share the longest job.
        #expect(
            text([60, 600], slots: 2)
                == "2 jobs, about 60 seconds to 10 minutes each on a core like this machine's; "
                + "with 2 slots about 10 minutes")
    }
}
