import ClusterFixtures
import Testing

@testable import ClusterCore

@Suite("Job queue")
struct JobQueueTests {
    private func worker(memoryBytes: Int, weights: Set<String> = []) -> WorkerIdentity {
        var worker = WorkerIdentity.named("w")
        worker.equipment = WorkerIdentity.Equipment(weights: weights, memoryBytes: memoryBytes)
        return worker
    }

    /// Whatever comes and goes, each worker gets what a search through all entries finds.
    @Test func eachWorkerGetsTheFirstJobThatFits() {
        var queue = JobQueue()
        var waiting: [(entry: QueueEntry, demand: Demand)] = []
        let amounts = [0, 1, 1000, 1023, 1024, 1025, 1500, 2047, 2048, 5000]
        var workers = [WorkerIdentity.named("silent")]
        for bytes in [0, 1, 1024, 1500, 2047, 4096, 9999] {
            workers += [worker(memoryBytes: bytes), worker(memoryBytes: bytes, weights: ["vgg19"])]
        }
        // A fixed sequence that mixes priorities, amounts and workers.
        var random: UInt64 = 1
        func number(below count: Int) -> Int {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((random >> 33) % UInt64(count))
        }
        for order in 0..<1000 as Range<Int64> {
            let entry = QueueEntry(priority: number(below: 3), order: order, sequence: order)
            let needs = JobNeeds(
                weights: number(below: 3) == 0 ? ["vgg19"] : [], memoryBytes: amounts[number(below: amounts.count)])
            let demand = Demand(needs: needs)
            waiting.append((entry, demand))
            queue.insert(entry, demand)
            for _ in 0..<number(below: 3) {
                let worker = workers[number(below: workers.count)]
                let wanted = waiting.filter { worker.lack(of: $0.demand) == nil }.map(\.entry).min()
                let found = queue.removeFirst(for: worker)
                #expect(found == wanted)
                waiting.removeAll { $0.entry == found }
                #expect(queue.count == waiting.count)
            }
            guard order % 250 == 249 else { continue }
            waiting.removeAll { $0.entry.sequence % 2 == 0 }
            queue.keep(Set(waiting.map(\.entry)))
            #expect(Set(queue.entries) == Set(waiting.map(\.entry)) && queue.count == waiting.count)
        }
    }
}
