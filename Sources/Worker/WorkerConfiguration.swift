import ClusterCore
import Foundation
import Machine
import OperatingSystem
import Protocol

/// Everything a worker is told.
public struct WorkerConfiguration: Sendable {
    /// Attempts trained at the same time, or a number made from what the process may use.
    public enum Count: Equatable, Sendable { case auto, exactly(Int) }

    /// A message names all attempts of a worker, of which each slot may have one that trains and one that waits for its
    /// delivery, and one more may be under way to it.
    static let maxSlots = Limits.maxSlots / 2 - 1

    /// Memory that `auto` grants a slot: the recipe `paper` takes 0.65 GiB, and a large exemplar's snapshot more.
    static let bytesPerSlot = 1 << 30
    /// Addresses without which a slot cannot train the smaller recipes.
    static let minAddressBytesPerSlot = 512 << 20

    /// The coordinator's ZeroMQ address.
    public var coordinator = "tcp://127.0.0.1:7741"
    /// Holds the worker's id and the files of its attempts.
    public var dataFolder: URL
    /// `auto`: processors / threads per slot, and no more than there is memory for (1 GiB each), at least 1. Independent
    /// trainings use processors better than shared ones.
    public var slots = Count.auto
    /// `auto`: 1, or all processors divided by a given number of slots.
    public var threadsPerSlot = Count.auto
    /// For people; `host:pid` unless set.
    public var name: String?
    /// How long a stopping worker waits for the coordinator's next word before it gives up delivering what is left:
    /// longer than the 32 s a greeting backs off to.
    public var drainPatience = Duration.seconds(60)

    public init(dataFolder: URL = Self.defaultDataFolder()) { self.dataFolder = dataFolder }

    /// `$XDG_STATE_HOME/texloom/worker`, or `~/.local/state/texloom/worker`.
    public static func defaultDataFolder() -> URL {
        UserFolder.state.url().appendingPathComponent("worker", isDirectory: true)
    }

    /// Slots and threads with `auto` resolved.
    /// - Throws: ``WorkerError`` naming the value that is impossible, or the limit that leaves too little.
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

    /// A trainer that cannot have its memory ends the process, and with it the others: better never to take the job.
    private func requireAddresses(slots: Int, _ allowance: MachineAllowance) throws(WorkerError) {
        guard let free = allowance.freeAddressBytes, free / slots < Self.minAddressBytesPerSlot else { return }
        throw WorkerError(
            "the process may have \(free >> 20) MiB more of addresses (ulimit -v); \(slots) slots need at least "
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
