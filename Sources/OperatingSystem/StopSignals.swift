@preconcurrency import Dispatch
import Foundation
import Synchronization

/// The signals by which people and machines ask a training process to stop, which it does after a checkpoint.
///
/// SIGTERM; SIGINT, which is Ctrl-C; SIGHUP, when the terminal or the connection closes, unless the process was started
/// with it ignored (nohup); SIGUSR1 and SIGXCPU, by which batch systems announce the time limit. Repeated signals have no
/// effect, because systems repeat them; a second Ctrl-C comes from a person and ends the process at once.
///
/// The handlers count for the whole process, as long as this value lives.
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

    /// - Parameter announce: called on any thread at the first signal, and at the first Ctrl-C if that comes later. After a
    ///   Ctrl-C (an interruption), tell the person what a second one does.
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

    /// Counts a signal. Returns whether to announce it.
    private func takeNote(of number: Int32) -> Bool {
        let (isFirst, interruptions) = state.withLock { received in
            defer { received.isAny = true }
            if number == SIGINT { received.interruptions += 1 }
            return (!received.isAny, received.interruptions)
        }
        guard number == SIGINT else { return isFirst }
        if interruptions > 1 {
            // End by the signal itself, so that a shell also ends the loop around the command. The queue's thread blocks
            // the signal.
            signal(SIGINT, SIG_DFL)
            var interruption = sigset_t()
            sigemptyset(&interruption)
            sigaddset(&interruption, SIGINT)
            pthread_sigmask(SIG_UNBLOCK, &interruption, nil)
            raise(SIGINT)
        }
        return interruptions == 1
    }

    /// Whether the process was started to ignore a signal, as nohup does with SIGHUP.
    public static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(number, nil, &action) == 0, let handler = action.__sigaction_handler.sa_handler else {
            return false
        }
        return unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    deinit {
        for source in sources { source.cancel() }
        // Later signals get the default action again.
        for number in numbers { signal(number, SIG_DFL) }
    }
}
