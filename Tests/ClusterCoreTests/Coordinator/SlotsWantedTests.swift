import ClusterFixtures
import Testing

@testable import ClusterCore

/// The number that autoscalers add.
struct SlotsWantedTests {
    private func wanted(_ cluster: ClusterDriver) -> Int { cluster.state.slotsWanted(at: cluster.now) }

    @Test func withoutWorkersEveryQueuedJobWantsASlot() {
        let cluster = ClusterDriver()
        #expect(wanted(cluster) == 0)
        let jobs = cluster.submit("a", "b", "c")
        #expect(wanted(cluster) == 3)
        cluster.handle(.cancel(cluster.token(), jobs[0], reason: "no"))
        #expect(wanted(cluster) == 2)
    }

    @Test func freeSlotsCountAndBusyOnesDoNot() throws {
        let cluster = ClusterDriver()
        cluster.submit("a", "b", "c")
        cluster.hello(1)
        #expect(wanted(cluster) == 2, "it is about to take one")
        let first = try #require(cluster.take(1))
        #expect(wanted(cluster) == 2)
        cluster.finish(1, first)
        #expect(wanted(cluster) == 1)
        cluster.hello(2)
        cluster.hello(3)
        #expect(wanted(cluster) == 0)
    }

    @Test func aDrainingWorkerHasNoFreeSlot() {
        let cluster = ClusterDriver()
        cluster.submit("a")
        cluster.hello(1)
        #expect(wanted(cluster) == 0)
        cluster.handle(.drain(cluster.token(), workerID: "worker-1"))
        #expect(wanted(cluster) == 1)
    }

    @Test func aWorkerThatLacksWeightsHasNoFreeSlotForJobsThatNeedThem() {
        let cluster = ClusterDriver()
        cluster.hello(1, equipment: WorkerIdentity.Equipment(weights: [], memoryBytes: 0))
        cluster.submit("plain")
        cluster.submit("styled", "styled too", needs: JobNeeds(weights: ["vgg16"]))
        #expect(wanted(cluster) == 2)
        // Its one slot goes to a styled job, which the other worker cannot run; the plain job finds the other.
        cluster.hello(2, equipment: WorkerIdentity.Equipment(weights: ["vgg16"], memoryBytes: 0))
        #expect(wanted(cluster) == 1)
    }

    @Test func aWorkerWithTooLittleMemoryHasNoFreeSlotForALargeJob() {
        let cluster = ClusterDriver()
        cluster.hello(1, worker: "small", equipment: WorkerIdentity.Equipment(weights: [], memoryBytes: 1200 << 20))
        cluster.submit("large", needs: JobNeeds(memoryBytes: 1500 << 20))
        #expect(wanted(cluster) == 1)
        #expect(cluster.state.problem(ofWorker: "small")?.contains("1200 MiB of memory per slot, 1500") == true)
        cluster.submit("small", needs: JobNeeds(memoryBytes: 1100 << 20))
        #expect(wanted(cluster) == 1)
        cluster.hello(2, equipment: WorkerIdentity.Equipment(weights: [], memoryBytes: 1500 << 20))
        #expect(wanted(cluster) == 0)
    }

    @Test(arguments: [false, true])
    func aJobThatNoLongerWaitsIsNoProblemOfAWorker(_ isDeleted: Bool) {
        let cluster = ClusterDriver()
        cluster.hello(1, worker: "small", equipment: WorkerIdentity.Equipment(weights: [], memoryBytes: 1 << 30))
        let jobs = [64, 32].flatMap { gigabytes in
            cluster.submit("of \(gigabytes) GiB", needs: JobNeeds(memoryBytes: gigabytes << 30))
        }
        #expect(cluster.state.problem(ofWorker: "small")?.contains("1024 MiB of memory per slot, 65536") == true)
        cluster.handle(.cancel(cluster.token(), jobs[0], reason: "no"))
        if isDeleted {
            cluster.handle(.change(cluster.token(), [jobs[0]], in: [.cancelled], .delete(cancelsFirst: false)))
        }
        #expect(cluster.state.problem(ofWorker: "small")?.contains("1024 MiB of memory per slot, 32768") == true)
        cluster.handle(.cancel(cluster.token(), jobs[1], reason: "no"))
        #expect(cluster.state.problem(ofWorker: "small") == nil && wanted(cluster) == 0)
        cluster.handle(.retry(cluster.token(), jobs[1]))
        #expect(cluster.state.problem(ofWorker: "small") != nil && wanted(cluster) == 1)
    }

    @Test func aJobThatMovedWithinTheQueueCountsOnce() {
        let cluster = ClusterDriver()
        let jobs = cluster.submit("a", "b")
        for priority in 1...9 { cluster.handle(.prioritise(cluster.token(), jobs[0], priority: priority)) }
        #expect(wanted(cluster) == 2)
        cluster.hello(1)
        #expect(wanted(cluster) == 1)
    }
}
