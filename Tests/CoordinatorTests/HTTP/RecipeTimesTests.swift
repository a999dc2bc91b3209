import Foundation
import Protocol
import Synchronization
import Testing

@testable import Coordinator

@Suite("Times of recipes", .timeLimit(.minutes(10)))
struct RecipeTimesTests {
    private static let measured = ExpectedTime(
        seconds: 250, secondsPerIteration: 0.041, source: .measurement, place: "on a core like the coordinator's")

    /// Counts its calls and answers when the test allows it.
    private final class Measurement: Sendable {
        let calls = Mutex<[String: Int]>([:])
        let mayAnswer = Mutex(false)

        func measure(_ recipe: NamedRecipe) -> ExpectedTime? {
            calls.withLock { $0[recipe.name, default: 0] += 1 }
            while !mayAnswer.withLock({ $0 }) { Thread.sleep(forTimeInterval: 0.01) }
            return recipe.name == "paper" ? nil : RecipeTimesTests.measured
        }
    }

    private func coordinator(_ measurement: Measurement) async throws -> RunningCoordinator {
        try await RunningCoordinator {
            $0.recipes = ["draft", "paper"].map { NamedRecipe(name: $0, abstract: "", yaml: "recipe: \($0)") }
            $0.measureRecipe = { measurement.measure($0) }
            // Treats the second line as the seed.
            $0.workloadOfRecipe = { $0.hasPrefix("k: auto") ? nil : String($0.prefix { $0 != "\n" }) }
        }
    }

    private func offered(_ coordinator: RunningCoordinator) async throws -> RecipeList {
        try await coordinator.get("/api/v1/recipes").decoded(RecipeList.self)
    }

    @Test func recipesAreMeasuredOnceAndOnlyWhenSomebodyLooks() async throws {
        let measurement = Measurement()
        let coordinator = try await coordinator(measurement)
        #expect(try await coordinator.get("/").status == 200 && measurement.calls.withLock { $0 } == [:])
        // The page does not wait for a measurement.
        let page = try await coordinator.get("/submit")
        #expect(page.status == 200 && page.text.contains(">draft: </option>"))
        var list = try await offered(coordinator)
        #expect(list.isMeasuring && list.recipes.allSatisfy { $0.expected == nil && $0.expectedText == nil })
        measurement.mayAnswer.withLock { $0 = true }
        while list.isMeasuring {
            try await Task.sleep(for: .milliseconds(20))
            list = try await offered(coordinator)
        }
        #expect(list.recipes.map(\.expected) == [Self.measured, nil])
        #expect(
            list.recipes[0].expectedText
                == "about 4 minutes on a core like the coordinator's (41 ms an iteration)")
        #expect(measurement.calls.withLock { $0 } == ["draft": 1, "paper": 1])
        let later = try await coordinator.get("/submit").text
        #expect(later.contains(">draft, about 4 minutes: </option>") && later.contains(">paper: </option>"))
        await coordinator.stop()
    }

    @Test func jobsOfARecipeTellMoreThanAMeasurement() async throws {
        let measurement = Measurement()
        measurement.mayAnswer.withLock { $0 = true }
        let coordinator = try await coordinator(measurement)
        let receipt = try await coordinator.send("POST", "/api/v1/exemplars", body: TestImages.png)
            .decoded(ExemplarReceipt.self)
        func submit(_ name: String, _ yaml: String) async throws -> AcceptedJob {
            let job = JobSubmission(
                name: name, fileName: "\(name).png", exemplarSHA256: receipt.sha256, recipeYAML: yaml, once: true)
            let body = try APIFormat.encoder.encode(SubmitJobsRequest(jobs: [job]))
            return try #require(
                try await coordinator.send("POST", "/api/v1/jobs", body: body).decoded(SubmitJobsResponse.self).jobs
                    .first)
        }
        #expect(try await submit("first", "recipe: draft\nseed: 1").expected == nil)
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 81)
        worker.hello()
        let attempt = try await worker.askForWork().attempt

        // While the job runs, its worker's speed counts: two seconds an iteration.
        var status = WireAttemptStatus()
        status.attempt = attempt
        status.iteration = 4
        status.totalIterations = 100
        status.secondsPerIteration = 2
        var beat = WireHeartbeat()
        beat.sequence = 1
        beat.running = [status]
        worker.send(.heartbeat(beat))
        var running = try await submit("second", "recipe: draft\nseed: 2")
        var count = 2
        while running.expected == nil {
            count += 1
            running = try await submit("job \(count)", "recipe: draft\nseed: \(count)")
        }
        #expect(
            running.expected == ExpectedTime(seconds: 200, secondsPerIteration: 2, source: .runningJobs, jobs: 1))

        // After the job has finished, its whole time counts: here only a moment.
        let files: [(WireArtifactKind, [UInt8])] = [(.checkpoint, [1]), (.generator, [2]), (.discriminator, [3])]
        for (kind, bytes) in files { _ = try await worker.upload(bytes, kind, iteration: 100, of: attempt) }
        worker.send(
            .finish(
                .with {
                    $0.attempt = attempt
                    $0.requestID = worker.id()
                    $0.iteration = 100
                    $0.checkpointSha256 = ScriptedWorker.artifact([1]).sha256
                    $0.generatorSha256 = ScriptedWorker.artifact([2]).sha256
                    $0.discriminatorSha256 = ScriptedWorker.artifact([3]).sha256
                    $0.trainingSeconds = 200
                    $0.reportJson = "{}"
                }))
        #expect(try await worker.acknowledgement().code == .ok)
        let finished = try await submit("third", "recipe: draft\nseed: 0")
        let time = try #require(finished.expected)
        #expect(time.source == .finishedJobs && time.jobs == 1 && time.seconds > 0)
        #expect(abs(time.seconds - 100 * time.secondsPerIteration) < 1e-9 * time.seconds)
        // A repeated submission adds no time. Finished jobs say nothing about other or unknown workloads.
        #expect(try await submit("third", "recipe: draft\nseed: 0").expected == nil)
        #expect(try await submit("other", "recipe: fast").expected == nil)
        #expect(try await submit("automatic", "k: auto").expected == nil)
        // A recorded time replaces a measurement, on the page too.
        let list = try await offered(coordinator)
        #expect(list.recipes[0].expected?.source == .finishedJobs)
        #expect(measurement.calls.withLock { $0["draft"] } == nil)
        #expect(try await coordinator.get("/submit").text.contains(">draft, about "))
        await worker.socket.close()
        await coordinator.stop()
    }
}
