/// What a socket has seen since it was opened.
public struct SocketCounters: Equatable, Sendable {
    public var received = 0
    public var sent = 0
    /// Frames that are not a valid message; dropped.
    public var malformed = 0
    /// Messages not sent: the peer was gone or its outbox full.
    public var dropped = 0
    /// Messages refused because the table of peers was full.
    public var refusedPeers = 0

    /// True for 1, 2, 4, 8, ...: a flood is logged, but does not flood the log.
    static func isWorthLogging(_ count: Int) -> Bool { count & (count - 1) == 0 }
}
