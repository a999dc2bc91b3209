import Foundation
import OperatingSystem
import Protocol

/// Everything a worker is told.
public struct WorkerConfiguration: Sendable {
    /// Attempts trained at the same time, or a number made from the machine's cores.
    public enum Count: Equatable, Sendable { case auto, exactly(Int) }

    /// A message names all attempts of a worker, of which each slot may have one that trains and one that waits for its
    /// delivery, and one more may be under way to it.
    static let maxSlots = Limits.maxSlots / 2 - 1

    /// The coordinator's ZeroMQ address.
    public var coordinator = "tcp://127.0.0.1:7741"
    /// Holds the worker's id and the files of its attempts.
    public var dataFolder: URL
    /// `auto`: cores / threads per slot, at least 1. Independent trainings use cores better than shared ones.
    public var slots = Count.auto
    /// `auto`: 1, or all cores divided by a given number of slots.
    public var threadsPerSlot = Count.auto
    /// For people; `host:pid` unless set.
    public var name: String?
    /// How long a stopping worker waits for the coordinator's next word before it gives up delivering what is left:
    /// longer than the 32 s a greeting backs off to.
    public var drainPatience = Duration.seconds(60)
    /// Of this build, for HELLO.
    public var softwareVersion = "unknown"

    public init(dataFolder: URL = Self.defaultDataFolder()) { self.dataFolder = dataFolder }

    /// `$XDG_STATE_HOME/texloom/worker`, or `~/.local/state/texloom/worker`.
    public static func defaultDataFolder() -> URL {
        UserFolder.state.url().appendingPathComponent("worker", isDirectory: true)
    }

    /// Slots and threads with `auto` resolved.
    /// - Throws: ``WorkerError`` naming the value that is impossible.
    public func resolvedCounts(
        cores: Int = ProcessInfo.processInfo.activeProcessorCount
    ) throws(WorkerError) -> (slots: Int, threadsPerSlot: Int) {
        for (name, count, limit) in [
            ("slots", slots, Self.maxSlots), ("threads per slot", threadsPerSlot, Limits.maxSlots),
        ] {
            if case .exactly(let value) = count, !(1...limit).contains(value) {
                throw WorkerError("\(name) is \(value); expected auto or 1 to \(limit)")
            }
        }
        switch (slots, threadsPerSlot) {
        case (.exactly(let slots), .exactly(let threads)): return (slots, threads)
        case (.exactly(let slots), .auto): return (slots, max(1, cores / slots))
        case (.auto, .exactly(let threads)): return (max(1, min(cores / threads, Self.maxSlots)), threads)
        case (.auto, .auto): return (max(1, min(cores, Self.maxSlots)), 1)
        }
    }
}

/// Why a worker cannot start.
public struct WorkerError: Error, Equatable, Sendable, CustomStringConvertible {
    public var message: String
    public var description: String { message }
    public init(_ message: String) { self.message = message }
}
