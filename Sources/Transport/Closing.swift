/// The end of a socket: who waits for it, and how long unsent messages may hold it up.
struct Closing {
    /// How long a socket's thread goes on sending, and then libzmq.
    static let usualPatience = Duration.seconds(1)

    private let patience: Duration
    private var since: ContinuousClock.Instant?
    private var isOver = false
    private var closers: [CheckedContinuation<Void, Never>] = []

    init(patience: Duration = Self.usualPatience) { self.patience = patience }

    /// No more messages are accepted.
    var hasBegun: Bool { since != nil }

    /// - Parameter closer: resumes when the socket is closed.
    mutating func begin(_ closer: CheckedContinuation<Void, Never>, at now: ContinuousClock.Instant = .now) {
        since = since ?? now
        if isOver { closer.resume() } else { closers.append(closer) }
    }

    /// Whether the socket's thread ends now.
    /// - Parameter isBlocked: Whether messages are left that libzmq does not take.
    func endsThread(isBlocked: Bool, at now: ContinuousClock.Instant = .now) -> Bool {
        guard let since else { return false }
        return !isBlocked || now - since > patience
    }

    /// The socket is closed.
    mutating func finish() {
        isOver = true
        for closer in closers { closer.resume() }
        closers = []
    }
}
