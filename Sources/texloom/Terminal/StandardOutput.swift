import Foundation
import OperatingSystem
import Synchronization

/// A command whose only purpose is what it prints. It ends when its reader does (`texloom logs -f | head`); the others
/// finish what they do.
protocol PrintsOnly {}

/// Standard output, unbuffered. What cannot be written is never lost in silence: the command then ends with status 1.
///
/// A reader that goes away is no failure. It ends commands that only print, and is nothing to the others.
enum StandardOutput {
    private struct State {
        var endsWithReader = false
        var isBroken = false
        /// Why a line could not be written; nil if each was.
        var failure: String?
    }

    private static let state = Mutex(State())

    /// Ends the process as soon as the reader of its output does, also while there is nothing to print.
    static func endWithReader() {
        state.withLock { $0.endsWithReader = true }
        var status = stat()
        guard fstat(STDOUT_FILENO, &status) == 0, [S_IFIFO, S_IFSOCK].contains(status.st_mode & S_IFMT) else { return }
        Thread.detachNewThread {
            var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
            // Errors and hang-ups are reported without being asked for.
            while poll(&output, 1, -1) < 0, errno == EINTR {}
            if output.revents & Int16(POLLERR | POLLHUP) != 0 { _exit(CommandExit.done.rawValue) }
        }
    }

    /// Writes all of it at once, in a line with what other threads write.
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
            complain("\(reason); the command goes on without it and ends with status 1")
        }
    }

    /// Whether something could not be written, other than because nobody reads it.
    static var hasFailed: Bool { state.withLock { $0.failure != nil } }
}

/// Writes a line to standard output at once, also into a pipe.
func say(_ line: String = "") { show(line + "\n") }

/// Writes text to standard output as it is.
func show(_ text: String) { StandardOutput.write(text) }
