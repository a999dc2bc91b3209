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

/// Waiting jobs, in lanes by what they need. A worker that lacks something skips whole lanes, and within a lane the
/// jobs that need more memory than it has. These hide no other job, however many there are.
package struct JobQueue: Sendable {
    /// Jobs of one kind that need the same weights.
    private struct Lane: Hashable {
        var kind: JobKind
        var weights: [String]

        init(_ demand: Demand) {
            kind = demand.kind
            weights = demand.needs.weights
        }

        /// What a job in the lane demands at least, whatever its memory.
        var demand: Demand { Demand(kind: kind, needs: JobNeeds(weights: weights)) }
    }

    /// The entries of a lane, by the memory that their jobs need.
    private struct Shelves {
        private struct Shelf {
            let memoryBytes: Int
            var entries = Heap<QueueEntry>()
        }

        /// By memory, the least first. None is empty.
        private var shelves: [Shelf] = []
        /// For each shelf: which of the shelves up to it has the first entry. A change shortens the list, and a search
        /// completes it as far as it needs.
        private var firsts: [Int] = []

        var isEmpty: Bool { shelves.isEmpty }
        var count: Int { shelves.reduce(0) { $0 + $1.entries.count } }
        /// In no particular order.
        var entries: [QueueEntry] { shelves.flatMap { $0.entries.unordered } }

        mutating func insert(_ entry: QueueEntry, _ memoryBytes: Int) {
            let place = reach(of: memoryBytes - 1)
            if place == shelves.count || shelves[place].memoryBytes != memoryBytes {
                shelves.insert(Shelf(memoryBytes: memoryBytes), at: place)
            }
            shelves[place].entries.insert(entry)
            forgetFirsts(from: place)
        }

        /// The first entry of a job that needs at most so much memory.
        mutating func first(within memoryBytes: Int) -> QueueEntry? {
            guard let place = place(within: memoryBytes) else { return nil }
            return shelves[place].entries.min
        }

        mutating func removeFirst(within memoryBytes: Int) -> QueueEntry? {
            guard let place = place(within: memoryBytes) else { return nil }
            let entry = shelves[place].entries.popMin()
            if shelves[place].entries.isEmpty { shelves.remove(at: place) }
            forgetFirsts(from: place)
            return entry
        }

        mutating func keep(_ live: Set<QueueEntry>) {
            shelves = shelves.compactMap { shelf -> Shelf? in
                let kept = live.intersection(shelf.entries.unordered)
                return kept.isEmpty ? nil : Shelf(memoryBytes: shelf.memoryBytes, entries: Heap(kept))
            }
            firsts = []
        }

        /// The number of shelves whose jobs need at most so much memory.
        private func reach(of memoryBytes: Int) -> Int {
            var (low, high) = (0, shelves.count)
            while low < high {
                let middle = (low + high) / 2
                if shelves[middle].memoryBytes <= memoryBytes { low = middle + 1 } else { high = middle }
            }
            return low
        }

        /// The shelf of the first entry of a job that needs at most so much memory.
        private mutating func place(within memoryBytes: Int) -> Int? {
            let reach = reach(of: memoryBytes)
            guard reach > 0 else { return nil }
            while firsts.count < reach {
                let next = firsts.count
                let best = firsts.last ?? next
                firsts.append(shelves[next].entries.min! < shelves[best].entries.min! ? next : best)
            }
            return firsts[reach - 1]
        }

        private mutating func forgetFirsts(from place: Int) { firsts.removeLast(max(0, firsts.count - place)) }
    }

    private var lanes: [Lane: Shelves] = [:]
    package private(set) var count = 0

    package var isEmpty: Bool { count == 0 }

    mutating func insert(_ entry: QueueEntry, _ demand: Demand) {
        lanes[Lane(demand), default: Shelves()].insert(entry, demand.needs.memoryBytes)
        count += 1
    }

    /// Removes the first entry whose job the worker can do.
    /// - Complexity: lanes x logarithm of the amounts of memory that a lane's jobs need; in a lane that has changed,
    ///   the amounts themselves.
    mutating func removeFirst(for worker: WorkerIdentity) -> QueueEntry? {
        let memoryBytes = worker.memoryLimit
        var first: (lane: Lane, entry: QueueEntry)?
        var index = lanes.startIndex
        while index != lanes.endIndex {
            // In place: a lane remembers what it has found.
            if let entry = lanes.values[index].first(within: memoryBytes), first.map({ entry < $0.entry }) ?? true {
                let lane = lanes.keys[index]
                if worker.lack(of: lane.demand) == nil { first = (lane, entry) }
            }
            lanes.formIndex(after: &index)
        }
        guard let lane = first?.lane else { return nil }
        count -= 1
        let entry = lanes[lane]!.removeFirst(within: memoryBytes)
        if lanes[lane]!.isEmpty { lanes[lane] = nil }
        return entry
    }

    /// In no particular order.
    var entries: [QueueEntry] { lanes.values.flatMap(\.entries) }

    /// Drops all other entries, and duplicates.
    mutating func keep(_ live: Set<QueueEntry>) {
        for lane in lanes.keys { lanes[lane]!.keep(live) }
        lanes = lanes.filter { !$0.value.isEmpty }
        count = lanes.values.reduce(0) { $0 + $1.count }
    }
}
