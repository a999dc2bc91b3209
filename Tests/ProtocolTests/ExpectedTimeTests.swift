import Foundation
import Protocol
import Testing

@Suite("Expected time")
struct ExpectedTimeTests {
    @Test(arguments: [
        (0.2, "about 1 second"), (3.4, "about 3 seconds"), (43, "about 45 seconds"), (97, "about 95 seconds"),
        (98, "about 2 minutes"), (252, "about 4 minutes"), (1_020, "about 17 minutes"), (5_300, "about 88 minutes"),
        (5_400, "about 1.5 hours"), (7_300, "about 2 hours"), (50_000, "about 14 hours"), (150_000, "about 1.5 days"),
        (-1, "about 1 second"), (Double.nan, "about 1 second"), (Double.infinity, "about 1157407 days"),
    ])
    func aTimeIsToldAsExactlyAsItIsKnown(seconds: Double, expected: String) {
        #expect(ExpectedTime.about(seconds) == expected)
    }

    @Test(arguments: [
        (0.0004, "0.4 ms"), (0.0412, "41 ms"), (0.9, "900 ms"), (0.9999, "1.0 s"), (1.62, "1.6 s"), (41, "41 s"),
    ])
    func anIterationIsToldInItsOwnUnit(seconds: Double, expected: String) {
        #expect(ExpectedTime.milliseconds(seconds) == expected)
    }

    @Test func everySourceIsNamed() {
        func text(_ source: ExpectedTime.Source, jobs: Int, place: String? = nil) -> String {
            ExpectedTime(seconds: 250, secondsPerIteration: 0.041, source: source, jobs: jobs, place: place).text
        }
        #expect(
            text(.measurement, jobs: 0, place: "on 2 threads of this machine")
                == "about 4 minutes on 2 threads of this machine (41 ms an iteration)")
        #expect(
            text(.finishedJobs, jobs: 1)
                == "about 4 minutes, as 1 finished job of this recipe took (41 ms an iteration)")
        #expect(
            text(.runningJobs, jobs: 2)
                == "about 4 minutes, at the speed of 2 running jobs of this recipe (41 ms an iteration)")
    }
}
