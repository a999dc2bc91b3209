import ClusterCore
import Foundation
import Machine
import OperatingSystem

/// A worker's settings.
public struct WorkerConfiguration: Sendable {
    /// A number of slots or threads; `auto` derives it from what the process may use.
    public enum Count: Equatable, Sendable { case auto, exactly(Int) }

    /// A message names all attempts of a worker. Each slot may have one that trains and one that waits for delivery,
    /// and the coordinator may have sent one more.
    static let maxSlots = Limits.maxSlots / 2 - 1

    /// Memory that `auto` plans for a slot: the recipe `paper` takes 0.65 GiB, and a large exemplar's snapshot takes
    /// more.
    static let bytesPerSlot = 1 << 30
    /// Addresses that a slot needs at least to train the smaller recipes.
    static let minAddressBytesPerSlot = 512 << 20

    static let standardCoordinator = "tcp://127.0.0.1:7741"

    /// The coordinator's ZeroMQ address. Default: that of the cluster that the worker has joined, or port 7741 on this
    /// machine.
    public var coordinator: String?
    /// The string of an invitation: the worker joins that cluster, unless it has already.
    public var invitation: String?
    /// Holds the worker's id, its keys and the files of its attempts.
    public var dataFolder: URL
    /// `auto`: processors / threads per slot, but no more than fit the memory (1 GiB each), at least 1. Several
    /// trainings use the processors better than one training with several threads.
    public var slots = Count.auto
    /// `auto`: 1, or processors / slots if the number of slots is given.
    public var threadsPerSlot = Count.auto
    /// For people; `host:pid` unless set.
    public var name: String?
    /// How long a stopping worker waits for the coordinator's next message before it gives up. It must exceed the
    /// longest pause between two HELLOs, 32 s.
    public var drainPatience = Duration.seconds(60)
    /// When the worker ends by itself; never, unless set.
    public var limits = WorkerLimits()
    /// The lifetime is shorter by a random part of this, so that workers that start together do not all end together.
    /// Shorter than the lifetime. It never exceeds the lifetime, which may be the time limit of a batch system.
    public var lifetimeStagger = Duration.zero
    /// How long the worker's socket goes on sending at the end; nil: as long as is usual. Tests change it.
    var closingPatience: Duration?

    public init(dataFolder: URL = Self.defaultDataFolder()) { self.dataFolder = dataFolder }

    /// `$XDG_STATE_HOME/texloom/worker`, or `~/.local/state/texloom/worker`.
    public static func defaultDataFolder() -> URL {
        UserFolder.state.url().appendingPathComponent("worker", isDirectory: true)
    }

    /// The limits with a lifetime of this process's own.
    /// - Parameter part: Of the stagger, 0 to 1.
    /// - Throws: ``WorkerError`` if the stagger leaves no lifetime.
    func staggeredLimits(_ part: Double) throws(WorkerError) -> WorkerLimits {
        guard lifetimeStagger > .zero else { return limits }
        guard let lifetime = limits.lifetime, lifetimeStagger < lifetime else {
            throw WorkerError(
                "the lifetime's stagger is \(lifetimeStagger.components.seconds) s; expected less than the lifetime, "
                    + (limits.lifetime.map { "\($0.components.seconds) s" } ?? "which is not set"))
        }
        var staggered = limits
        staggered.lifetime = lifetime - lifetimeStagger * part
        return staggered
    }

    /// Slots and threads with `auto` resolved.
    /// - Throws: ``WorkerError`` that names the impossible value, or the limit that leaves too little.
    public func resolvedCounts(
        within allowance: MachineAllowance = .current
    ) throws(WorkerError) -> (slots: Int, threadsPerSlot: Int) {
        for (name, count, limit) in [
            ("slots", slots, Self.maxSlots), ("threads per slot", threadsPerSlot, Limits.maxSlots),
        ] {
            if case .exactly(let value) = count, !(1...limit).contains(value) {
                throw WorkerError("\(name) is \(value); expected auto or 1 to \(limit)")
            }
        }
        let processors = allowance.processors
        func fitting(threads: Int) -> Int {
            max(1, min(processors / threads, allowance.memoryBytes / Self.bytesPerSlot, Self.maxSlots))
        }
        let counts =
            switch (slots, threadsPerSlot) {
            case (.exactly(let slots), .exactly(let threads)): (slots, threads)
            case (.exactly(let slots), .auto): (slots, max(1, processors / slots))
            case (.auto, .exactly(let threads)): (fitting(threads: threads), threads)
            case (.auto, .auto): (fitting(threads: 1), 1)
            }
        try requireAddresses(slots: counts.0, allowance)
        return counts
    }

    /// A trainer that cannot get its memory ends the process, and with it the other trainers. It is better not to
    /// start.
    private func requireAddresses(slots: Int, _ allowance: MachineAllowance) throws(WorkerError) {
        guard let free = allowance.freeAddressBytes, free / slots < Self.minAddressBytesPerSlot else { return }
        throw WorkerError(
            "the process has \(free >> 20) MiB of addresses left (ulimit -v); \(slots) slots need at least "
                + "\(Self.minAddressBytesPerSlot >> 20) MiB each: raise the limit (ulimit -v unlimited; h_vmem of Grid "
                + "Engine, LimitAS= of systemd) or take fewer slots")
    }
}

/// Why a worker cannot start.
public struct WorkerError: Error, Equatable, Sendable, CustomStringConvertible {
    public var message: String
    public var description: String { message }
    public init(_ message: String) { self.message = message }
}
