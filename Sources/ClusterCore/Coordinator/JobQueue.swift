import HeapModule

/// A waiting job's place: higher priority first, then the smaller order.
package struct QueueEntry: Comparable, Hashable, Sendable {
    var priority: Int
    var order: Int64
    var sequence: Int64

    package static func < (a: QueueEntry, b: QueueEntry) -> Bool {
        (b.priority, a.order, a.sequence) < (a.priority, b.order, b.sequence)
    }
}

/// Waiting jobs, in lanes by what they need. A worker that lacks something skips whole lanes.
package struct JobQueue: Sendable {
    /// Jobs of one kind that need the same weights, and an amount of memory between a power of two and the next.
    private struct Lane: Hashable {
        var kind: JobKind
        var weights: [String]
        var memoryPower: Int?

        init(_ demand: Demand) {
            let needs = demand.needs
            kind = demand.kind
            weights = needs.weights
            memoryPower =
                needs.memoryBytes > 0 ? Int.bitWidth - 1 - needs.memoryBytes.leadingZeroBitCount : nil
        }

        /// What every job in the lane needs at least.
        var least: Demand {
            Demand(kind: kind, needs: JobNeeds(weights: weights, memoryBytes: memoryPower.map { 1 << $0 } ?? 0))
        }
    }

    private var lanes: [Lane: Heap<QueueEntry>] = [:]
    package private(set) var count = 0

    package var isEmpty: Bool { count == 0 }

    mutating func insert(_ entry: QueueEntry, _ demand: Demand) {
        lanes[Lane(demand), default: Heap()].insert(entry)
        count += 1
    }

    /// Removes the first entry that may fit. The caller checks whether the job itself fits.
    mutating func removeFirst(where mayFit: (Demand) -> Bool) -> QueueEntry? {
        var first: (lane: Lane, entry: QueueEntry)?
        for (lane, heap) in lanes {
            guard let entry = heap.min, first.map({ entry < $0.entry }) ?? true, mayFit(lane.least) else { continue }
            first = (lane, entry)
        }
        guard let lane = first?.lane else { return nil }
        count -= 1
        let entry = lanes[lane]!.popMin()
        if lanes[lane]!.isEmpty { lanes[lane] = nil }
        return entry
    }

    /// What the waiting jobs demand at least, lane by lane.
    var demands: [Demand] { lanes.keys.map(\.least) }

    /// The number of waiting entries by what they demand at least.
    var depths: [(demand: Demand, entries: Int)] { lanes.map { ($0.key.least, $0.value.count) } }

    /// In no particular order.
    var entries: [QueueEntry] { lanes.values.flatMap(\.unordered) }

    /// Drops all other entries, and duplicates.
    mutating func keep(_ live: Set<QueueEntry>) {
        lanes = lanes.mapValues { Heap(live.intersection($0.unordered)) }.filter { !$0.value.isEmpty }
        count = lanes.values.reduce(0) { $0 + $1.count }
    }
}
