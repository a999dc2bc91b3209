@preconcurrency import Dispatch
import Foundation
import Synchronization

/// The signals by which people and machines ask a training process to end, as a wish to stop with a checkpoint.
///
/// SIGTERM; SIGINT, which is Ctrl-C; SIGHUP, when the terminal or the connection goes away, unless the process was
/// started with it ignored (nohup); SIGUSR1 and SIGXCPU, by which batch systems announce the end of the time. Systems
/// repeat their signals, without effect. A second Ctrl-C is a person's, and ends the process at once.
///
/// The handlers are the process's, and in place as long as this value lives.
public final class StopSignals: Sendable {
    private struct Received {
        var isAny = false
        var interruptions = 0
    }

    private let state = Mutex(Received())
    private let numbers: [Int32]
    private let sources: [any DispatchSourceSignal]

    /// Whether the process is to stop.
    public var received: Bool { state.withLock { $0.isAny } }

    /// - Parameter announce: called at the first signal, and at the first Ctrl-C if that comes later; on any thread.
    ///   After an interruption, a Ctrl-C, the person has to be told what another one does.
    public init(announce: @escaping @Sendable (_ isInterruption: Bool) -> Void) {
        numbers = [SIGTERM, SIGINT, SIGUSR1, SIGXCPU] + (Self.isIgnored(SIGHUP) ? [] : [SIGHUP])
        sources = numbers.map { number in
            // The default action would end the process before the source sees the signal.
            signal(number, SIG_IGN)
            return DispatchSource.makeSignalSource(signal: number, queue: .global())
        }
        for (number, source) in zip(numbers, sources) {
            source.setEventHandler { [weak self] in
                if let self, self.takeNote(of: number) { announce(number == SIGINT) }
            }
            source.resume()
        }
    }

    /// Gives whether the signal has to be announced.
    private func takeNote(of number: Int32) -> Bool {
        let (isFirst, interruptions) = state.withLock { received in
            defer { received.isAny = true }
            if number == SIGINT { received.interruptions += 1 }
            return (!received.isAny, received.interruptions)
        }
        guard number == SIGINT else { return isFirst }
        if interruptions > 1 {
            // Ended by the signal itself, so that a shell ends the loop around the command as well. The queue's thread
            // blocks it.
            signal(SIGINT, SIG_DFL)
            var interruption = sigset_t()
            sigemptyset(&interruption)
            sigaddset(&interruption, SIGINT)
            pthread_sigmask(SIG_UNBLOCK, &interruption, nil)
            raise(SIGINT)
        }
        return interruptions == 1
    }

    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0, let handler = action.__sigaction_handler.sa_handler else {
            return false
        }
        return unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    deinit {
        for source in sources { source.cancel() }
        // What comes after the end is for the system to obey.
        for number in numbers { signal(number, SIG_DFL) }
    }
}
