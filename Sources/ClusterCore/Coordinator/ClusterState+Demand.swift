/// How much work waits for workers that are not there.
extension ClusterState {
    /// Slots that further workers could fill at once: the queued jobs, less those for which a connected worker has a
    /// free slot.
    ///
    /// The free slots of a worker that drains, rests, is barred or is kept for a suspect job do not count, and neither
    /// do those of a worker that lacks what the jobs need. Jobs that need different weights or kinds compete for slots:
    /// the demand that the fewest workers can meet takes its slots first.
    /// - Complexity: workers x different demands, whatever the number of jobs.
    package func slotsWanted(at now: Instant) -> Int {
        let queued = counts[.queued] ?? 0
        guard queued > 0 else { return 0 }
        let reserved = reservation.flatMap { holds($0, at: now) ? $0.session : nil }
        var free = sessions.values.filter {
            $0.isAttached && !$0.isDraining && !isBarred($0, at: now) && !isResting($0.worker.id, at: now)
                && $0.session != reserved
        }.map { (worker: $0.worker, slots: max(0, $0.worker.slots - $0.attempts.count)) }.filter { $0.slots > 0 }
        var taken = 0
        let demands = queuedDemands.map { demand, jobs in
            (demand, jobs, able: free.indices.filter { free[$0].worker.lack(of: demand) == nil })
        }
        for (_, jobs, able) in demands.sorted(by: { $0.able.count < $1.able.count }) {
            var left = jobs
            for index in able where left > 0 {
                let slots = min(left, free[index].slots)
                free[index].slots -= slots
                left -= slots
                taken += slots
            }
        }
        return max(0, queued - taken)
    }
}
