@preconcurrency import Dispatch
import Foundation
import Synchronization

/// The whole terminal, for a picture that is redrawn in place. Restores the terminal on ``close()``, when a signal ends
/// the process, and while it is suspended.
///
/// Uses the alternate screen: on the normal one, a resized terminal would wrap the old picture.
final class Screen: Sendable {
    /// Alternate screen on, cursor off, no wrapping of what is too long.
    private static let take = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l"
    private static let giveBack = "\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"
    /// Synchronised output: terminals that know it show a picture at once, the others ignore it.
    private static let beginPicture = "\u{1B}[?2026h\u{1B}[H"
    private static let endPicture = "\u{1B}[J\u{1B}[?2026l"

    private let features: TerminalFeatures
    private let isOpen = Mutex(true)
    private let sources: [any DispatchSourceSignal]

    /// - Parameter onResize: called when the picture has to be drawn again.
    init(_ features: TerminalFeatures, onResize: @escaping @Sendable () -> Void) {
        self.features = features
        let numbers = [SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT, SIGWINCH]
        sources = numbers.map { number in
            // The dispatch source sees the signal only if its default action is off.
            if number != SIGCONT && number != SIGWINCH { signal(number, SIG_IGN) }
            return DispatchSource.makeSignalSource(signal: number, queue: .global())
        }
        for (number, source) in zip(numbers, sources) {
            source.setEventHandler { [weak self] in
                switch number {
                case SIGWINCH: onResize()
                case SIGCONT:
                    self?.reopen()
                    onResize()
                case SIGTSTP:
                    self?.close()
                    raise(SIGSTOP)
                default:
                    self?.close()
                    // End by the signal, so that the shell sees it. Dispatch's threads block signals.
                    var own = sigset_t()
                    sigemptyset(&own)
                    sigaddset(&own, number)
                    pthread_sigmask(SIG_UNBLOCK, &own, nil)
                    signal(number, SIG_DFL)
                    raise(number)
                }
            }
            source.resume()
        }
        show(Self.take)
    }

    deinit { for source in sources { source.cancel() } }

    /// Columns and rows, read each time.
    var size: (columns: Int, rows: Int) { terminalSize(STDOUT_FILENO) ?? (80, 24) }

    /// Replaces the picture. Lines and columns beyond the terminal's are cut off.
    func draw(_ lines: [StyledText]) {
        let (columns, rows) = size
        let picture = lines.prefix(rows).map { $0.fitted(to: columns).text(paints: features.hasColours) + "\u{1B}[K" }
        isOpen.withLock { isOpen in
            guard isOpen else { return }
            show(Self.beginPicture + picture.joined(separator: "\r\n") + Self.endPicture)
        }
    }

    func close() {
        isOpen.withLock { isOpen in
            if isOpen { show(Self.giveBack) }
            isOpen = false
        }
    }

    /// Gives the terminal back with a last picture that stays.
    func close(leaving lines: [StyledText]) {
        close()
        for line in lines { say(line.text(paints: features.hasColours)) }
    }

    private func reopen() {
        isOpen.withLock { isOpen in
            if !isOpen { show(Self.take) }
            isOpen = true
        }
    }
}

/// Columns and rows of the terminal behind a descriptor; nil if it is not a terminal or its size is unknown.
func terminalSize(_ descriptor: Int32) -> (columns: Int, rows: Int)? {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return nil }
    return (Int(size.ws_col), Int(size.ws_row))
}
