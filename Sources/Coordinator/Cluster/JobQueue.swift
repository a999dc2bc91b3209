import Protocol

/// A waiting job's place: higher priority first, then the smaller order.
struct QueueEntry: Comparable, Hashable, Sendable {
    var priority: Int
    var order: Int64
    var sequence: Int64

    static func < (a: QueueEntry, b: QueueEntry) -> Bool {
        (b.priority, a.order, a.sequence) < (a.priority, b.order, b.sequence)
    }
}

/// Waiting jobs, apart by what they need: a worker that lacks something does not look at all the jobs that need it.
struct JobQueue: Sendable {
    /// Jobs that need the same weights, and memory between a power of two and the next.
    private struct Lane: Hashable {
        var weights: [String]
        var memoryPower: Int?

        init(_ needs: JobNeeds) {
            weights = needs.weights
            memoryPower =
                needs.memoryBytes > 0 ? Int.bitWidth - 1 - needs.memoryBytes.leadingZeroBitCount : nil
        }

        /// What all of its jobs need.
        var least: JobNeeds { JobNeeds(weights: weights, memoryBytes: memoryPower.map { 1 << $0 } ?? 0) }
    }

    private var lanes: [Lane: MinimumHeap<QueueEntry>] = [:]
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func insert(_ entry: QueueEntry, _ needs: JobNeeds) {
        lanes[Lane(needs), default: MinimumHeap()].insert(entry)
        count += 1
    }

    /// The first of those that may fit; whether the job itself does is for the caller to see.
    mutating func removeFirst(where mayFit: (JobNeeds) -> Bool) -> QueueEntry? {
        var first: (lane: Lane, entry: QueueEntry)?
        for (lane, heap) in lanes {
            guard let entry = heap.first, first.map({ entry < $0.entry }) ?? true, mayFit(lane.least) else { continue }
            first = (lane, entry)
        }
        guard let lane = first?.lane else { return nil }
        count -= 1
        let entry = lanes[lane]!.removeFirst()
        if lanes[lane]!.first == nil { lanes[lane] = nil }
        return entry
    }

    /// What waiting jobs need, each of them a job's or less.
    var needs: [JobNeeds] { lanes.keys.map(\.least) }

    /// In no particular order.
    var entries: [QueueEntry] { lanes.values.flatMap(\.elements) }

    /// Drops all others, and doubles.
    mutating func keep(_ live: Set<QueueEntry>) {
        lanes = lanes.mapValues { MinimumHeap(live.intersection($0.elements)) }.filter { $0.value.first != nil }
        count = lanes.values.reduce(0) { $0 + $1.count }
    }
}
