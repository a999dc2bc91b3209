import Foundation
import Testing

/// Thousands of worlds, each from a seed. `TEXLOOM_SEED=N swift test --filter SimulationTests` replays one and prints
/// its events. `TEXLOOM_SEEDS=N` plays more or fewer than 10,000.
@Suite struct SimulationTests {
    private static let environment = ProcessInfo.processInfo.environment

    struct Totals {
        var violations: [String] = []
        var finished = 0
        var reassigned = 0
        var fallBacks = 0
        var crashes = 0
        var messages = 0
        var recoveries = 0
        var returned = 0
        var blamedWorkers = 0
        var followers = 0
        var blocked = 0
    }

    @Test func noJobIsLostAndNoneIsAcceptedTwiceWhateverHappens() async throws {
        if let seed = Self.environment["TEXLOOM_SEED"].flatMap(UInt64.init) {
            let simulation = Simulation(seed: seed, traces: true)
            simulation.run()
            print(simulation.trace!.joined(separator: "\n"))
            #expect(simulation.witness.violations.isEmpty, "seed \(seed)")
            return
        }
        let count = UInt64(Self.environment["TEXLOOM_SEEDS"] ?? "") ?? 10_000
        let totals = await Self.play(1...count)
        #expect(totals.violations.isEmpty)
        print(
            "simulation: \(count) seeds, \(totals.crashes) crashes, \(totals.messages) messages, "
                + "\(totals.finished) jobs finished, \(totals.reassigned) attempts after the first, "
                + "\(totals.recoveries) taken up by a worker's next process, \(totals.returned) after their lease, "
                + "\(totals.fallBacks) damaged checkpoints left for older ones, "
                + "\(totals.followers) jobs finished that had waited for another, \(totals.blocked) were blocked by it, "
                + "\(totals.blamedWorkers) workers found to die with every job, "
                + "\(totals.violations.count) seeds with violations")
        #expect(
            totals.finished > Int(count) && totals.reassigned > Int(count) / 2 && totals.fallBacks > Int(count) / 100
                && totals.recoveries > Int(count) / 50 && totals.blamedWorkers > 0 && totals.followers > Int(count)
                && totals.blocked > Int(count) / 50,
            "the storm is one")
        #expect(totals.returned > 0, "some hosts are away for longer than a lease")
    }

    @Test func aSeedPlaysTheSameAgain() {
        func trace(_ seed: UInt64) -> [String] {
            let simulation = Simulation(seed: seed, traces: true)
            simulation.run()
            return simulation.trace!
        }
        #expect(trace(7) == trace(7))
    }

    /// The simulation finds each planted bug.
    @Test(arguments: [
        Sabotage.noFence, .acknowledgeBeforeCommit, .recordUnsyncedFiles, .logsForgetSessions, .forgetsFollowers,
        .silenceIsEvidence,
    ])
    func aPlantedBugIsFound(_ sabotage: Sabotage) async {
        let totals = await Self.play(1...1000, sabotage: sabotage)
        print(
            "simulation: \(sabotage) is found in \(totals.violations.count) of 1,000 seeds: \(totals.violations.first ?? "")"
        )
        #expect(totals.violations.count >= 3)
    }

    /// Plays the seeds on all cores, and gives other tests their turn.
    private static func play(_ seeds: ClosedRange<UInt64>, sabotage: Sabotage = .none) async -> Totals {
        let cores = UInt64(ProcessInfo.processInfo.activeProcessorCount)
        return await withTaskGroup(of: Totals.self) { group in
            for core in 0..<cores {
                group.addTask {
                    var totals = Totals()
                    for seed in stride(from: seeds.lowerBound + core, through: seeds.upperBound, by: Int(cores)) {
                        let simulation = Simulation(seed: seed, sabotage: sabotage)
                        simulation.run()
                        totals.add(simulation, seed)
                        await Task.yield()
                    }
                    return totals
                }
            }
            return await group.reduce(into: Totals()) { $0.add($1) }
        }
    }
}

extension SimulationTests.Totals {
    fileprivate mutating func add(_ simulation: Simulation, _ seed: UInt64) {
        if let first = simulation.witness.violations.first {
            violations.append("TEXLOOM_SEED=\(seed): \(first)")
        }
        finished += simulation.witness.finishedJobs
        reassigned += simulation.witness.reassignedJobs
        fallBacks += simulation.witness.fallBacks
        crashes += simulation.crashes
        messages += simulation.messages
        recoveries += simulation.recoveries
        returned += simulation.witness.returned
        blamedWorkers += simulation.witness.blamedWorkers.count
        followers += simulation.witness.followersFinished
        blocked += simulation.witness.blocked
    }

    fileprivate mutating func add(_ other: Self) {
        violations += other.violations
        finished += other.finished
        reassigned += other.reassigned
        fallBacks += other.fallBacks
        crashes += other.crashes
        messages += other.messages
        recoveries += other.recoveries
        returned += other.returned
        blamedWorkers += other.blamedWorkers
        followers += other.followers
        blocked += other.blocked
    }
}
