import Testing

@testable import ClusterCore

@Suite("Lease: the time that a training still needs")
struct LeaseTests {
    private let attempt = AttemptReference(job: JobID(sequence: 1, salt: 0), number: 1)
    private let pace = 0.025

    private func seconds(_ count: Double) -> Instant { .origin + .seconds(count) }

    /// Reports every 5 s of a training of 9,000 iterations. Of each minute, the worker iterates for so many seconds.
    private func lease(iterating seconds: Double, minutes: Int) -> Lease {
        var lease = Lease(
            attempt: attempt, session: 1, expires: .origin, iteration: 0, totalIterations: 9_000,
            secondsPerIteration: pace, progressed: .origin)
        for step in 0...12 * minutes {
            let iterated = Double(step / 12) * seconds + min(Double(step % 12) * 5, seconds)
            let status = AttemptStatus(
                attempt: attempt, iteration: Int((iterated / pace).rounded()), totalIterations: 9_000,
                secondsPerIteration: pace)
            if step == 0 || status.iteration > lease.iteration {
                lease.move(to: status, at: self.seconds(Double(5 * step)))
            }
        }
        return lease
    }

    @Test func snapshotsBelongToTheTimeLeft() throws {
        // Ten seconds of each minute go to snapshots.
        let lease = lease(iterating: 50, minutes: 3)
        #expect(lease.iteration == 6_000)
        let left = try #require(lease.secondsLeft)
        // 75 s without them. The last pause has not shown yet.
        #expect((83...91).contains(left), "\(left)")
    }

    @Test func aTrainingWithoutPausesNeedsItsIterations() throws {
        let lease = lease(iterating: 60, minutes: 2)
        #expect(abs(try #require(lease.secondsLeft) - Double(9_000 - lease.iteration) * pace) < 1)
    }

    /// The first snapshots lie close together, and say little about the rest.
    @Test func littleTrainingSaysNothingAboutSnapshots() {
        #expect(lease(iterating: 10, minutes: 1).overhead == 1)
    }

    @Test func aWorkerThatWasStoppedDoesNotMakeTheRestEndless() {
        #expect(lease(iterating: 6, minutes: 10).overhead == 2)
    }
}
