import Foundation

/// What the HTTP side grants its callers. docs/security.md lists every number; a test compares the two.
struct HTTPLimits: Sendable {
    /// From a connection's start to the end of the first request's header, TLS handshake included.
    var headSeconds = 20
    /// From an answer to the end of the next request's header.
    var idleSeconds = 75
    /// Without a byte of a body that is arriving.
    var bodyStallSeconds = 60
    /// For a whole body: 64 MiB at 75 KB/s.
    var bodySeconds = 900
    /// For the rest of a body whose answer was already sent.
    var drainSeconds = 10
    /// While the client takes nothing of an answer.
    var writeStallSeconds = 60
    /// After the request to stop, before running requests are cut off.
    var shutdownSeconds = 2
    /// After the request to stop, before the process ends whatever hangs.
    var wholeShutdownSeconds = 10

    /// Connections in all. One address may have half of them, so that it never shuts out the others.
    var connections = 2_048
    var connectionsPerAddress: Int { max(connections / 2, 1) }
    /// Event streams in all, half of the connections; the rest serves requests that end.
    var streams: Int { max(connections / 2, 1) }
    /// Event streams of one caller: a token, or an address without a token.
    var streamsPerCaller: Int { max(streams / 4, 1) }

    /// Bytes of JSON bodies in memory, in all and of one caller.
    var jsonBytes = 32 << 20
    var jsonBytesPerCaller = 16 << 20

    /// The limits for a process that may open so many files. Half of them are for workers, artifacts and the database.
    static func standard(openFiles: Int = HTTPLimits.openFiles) -> HTTPLimits {
        var limits = HTTPLimits()
        limits.connections = min(limits.connections, max(openFiles / 2, 16))
        return limits
    }

    static var openFiles: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(min(limit.rlim_cur, 1 << 20))
    }
}
