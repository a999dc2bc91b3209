import Base

/// What a socket has counted since it was opened.
public struct SocketCounters: Equatable, Sendable {
    public var received = 0
    public var sent = 0
    /// Messages dropped because they are malformed.
    public var malformed = RareNotice()
    /// Messages not sent because the peer was gone or its outbox full.
    public var dropped = 0
    /// Messages refused because the table of peers was full.
    public var refusedPeers = RareNotice()
    /// Messages discarded unread because more arrived than were taken.
    public var discarded = 0
    /// How often that happened, for the log: one time discards many messages.
    var discards = RareNotice()
    /// Connections ended because what they sent, and was not taken yet, filled too much memory.
    public var endedUnfinished = 0
}
