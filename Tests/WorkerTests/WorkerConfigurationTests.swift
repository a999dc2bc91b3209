import Foundation
import Machine
import Testing

@testable import ClusterCore
@testable import Worker

/// How many trainings a worker accepts, given the resources of its process.
@Suite struct WorkerConfigurationTests {
    private func counts(
        _ slots: WorkerConfiguration.Count, _ threads: WorkerConfiguration.Count, processors: Int,
        gibibytes: Int = 1024
    ) throws -> [Int] {
        var configuration = WorkerConfiguration(dataFolder: FileManager.default.temporaryDirectory)
        configuration.slots = slots
        configuration.threadsPerSlot = threads
        let (slots, threads) = try configuration.resolvedCounts(
            within: MachineAllowance(processors: processors, memoryBytes: gibibytes << 30))
        return [slots, threads]
    }

    @Test func aSlotOfOneThreadForEachProcessorThatMayBeUsed() throws {
        #expect(try counts(.auto, .auto, processors: 1) == [1, 1])
        #expect(try counts(.auto, .auto, processors: 6) == [6, 1])
        #expect(try counts(.auto, .exactly(4), processors: 6) == [1, 4])
        #expect(try counts(.exactly(2), .auto, processors: 6) == [2, 3])
        #expect(try counts(.exactly(5), .exactly(4), processors: 6) == [5, 4])
    }

    @Test func noMoreSlotsThanThereIsMemoryFor() throws {
        #expect(try counts(.auto, .auto, processors: 64, gibibytes: 8) == [8, 1])
        #expect(try counts(.auto, .exactly(8), processors: 64, gibibytes: 3) == [3, 8])
        #expect(try counts(.auto, .auto, processors: 64, gibibytes: 0) == [1, 1], "one is tried")
        #expect(try counts(.exactly(20), .auto, processors: 64, gibibytes: 8) == [20, 3], "what was said holds")
    }

    @Test func aLimitOfAddressesThatLeavesTooLittleIsRefused() {
        var configuration = WorkerConfiguration(dataFolder: FileManager.default.temporaryDirectory)
        configuration.slots = .exactly(2)
        // Less than this process already uses.
        let allowance = MachineAllowance(processors: 2, memoryBytes: 1 << 40, addressBytes: 1 << 20)
        let error = #expect(throws: WorkerError.self) { try configuration.resolvedCounts(within: allowance) }
        #expect(error?.message.contains("ulimit -v") == true && error?.message.contains("2 slots") == true)
    }

    @Test func aMessageNamesAllAttemptsOfTheLargestWorker() throws {
        let slots = WorkerConfiguration.maxSlots
        #expect(2 * slots + 1 <= Limits.maxSlots)
        var configuration = WorkerConfiguration(dataFolder: FileManager.default.temporaryDirectory)
        configuration.slots = .exactly(slots + 1)
        let error = #expect(throws: WorkerError.self) { try configuration.resolvedCounts() }
        #expect(error?.message.contains("1 to \(slots)") == true)
        configuration.slots = .auto
        #expect(
            try configuration.resolvedCounts(
                within: MachineAllowance(processors: 4096, memoryBytes: 1 << 50)
            ).slots == slots)
    }

    @Test func aStaggerShortensTheLifetimeAndNeverExceedsIt() throws {
        var configuration = WorkerConfiguration(dataFolder: FileManager.default.temporaryDirectory)
        #expect(try configuration.staggeredLimits(1) == WorkerLimits())
        configuration.limits = WorkerLimits(lifetime: .seconds(100), idle: .seconds(7))
        #expect(try configuration.staggeredLimits(1) == configuration.limits)
        configuration.lifetimeStagger = .seconds(40)
        #expect(try configuration.staggeredLimits(0) == configuration.limits)
        #expect(try configuration.staggeredLimits(1) == WorkerLimits(lifetime: .seconds(60), idle: .seconds(7)))
        configuration.lifetimeStagger = .seconds(100)
        #expect(throws: WorkerError.self) { try configuration.staggeredLimits(0) }
        configuration.limits.lifetime = nil
        #expect(throws: WorkerError.self) { try configuration.staggeredLimits(0) }
    }
}
