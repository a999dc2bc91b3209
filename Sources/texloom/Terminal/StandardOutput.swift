import Foundation
import OperatingSystem
import Synchronization

/// A command that only prints. It ends when its reader does (`texloom logs -f | head`); other commands finish their work.
protocol PrintsOnly {}

/// Standard output, unbuffered. If a line cannot be written, the command says so and ends with status 1.
///
/// A reader that leaves is not a failure: it ends commands that only print, and other commands continue.
enum StandardOutput {
    private struct State {
        var endsWithReader = false
        var isBroken = false
        /// Why a line could not be written; nil if all were.
        var failure: String?
    }

    private static let state = Mutex(State())

    /// Ends the process as soon as the reader of its output does, also while nothing is printed.
    static func endWithReader() {
        state.withLock { $0.endsWithReader = true }
        var status = stat()
        guard fstat(STDOUT_FILENO, &status) == 0, [S_IFIFO, S_IFSOCK].contains(status.st_mode & S_IFMT) else { return }
        Thread.detachNewThread {
            var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
            // poll always reports errors and hang-ups.
            while poll(&output, 1, -1) < 0, errno == EINTR {}
            if output.revents & Int16(POLLERR | POLLHUP) != 0 { _exit(CommandExit.done.rawValue) }
        }
    }

    /// Writes the whole text, without mixing it with that of other threads.
    static func write(_ text: String) {
        state.withLock { state in
            guard !state.isBroken, let error = writeAll(Array(text.utf8), into: STDOUT_FILENO) else { return }
            state.isBroken = true
            if error == EPIPE {
                if state.endsWithReader { _exit(CommandExit.done.rawValue) }
                return
            }
            let reason = "standard output cannot be written: \(reasonOfSystem(error))"
            state.failure = reason
            if state.endsWithReader {
                complain(reason)
                _exit(CommandExit.failed.rawValue)
            }
            complain("\(reason); the command continues without it and ends with status 1")
        }
    }

    /// Whether a line could not be written for another reason than that the reader left.
    static var hasFailed: Bool { state.withLock { $0.failure != nil } }
}

/// Writes a line to standard output at once, also into a pipe.
func say(_ line: String = "") { show(line + "\n") }

/// Writes text to standard output as it is.
func show(_ text: String) { StandardOutput.write(text) }
