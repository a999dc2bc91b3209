import Foundation

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

@testable import Coordinator

/// How long a test waits for what never comes, longer than the time limit of any suite. What does come may take
/// minutes: the coordinator and its client share their threads with all other tests of the run.
let hangGuardSeconds = 1200

extension URLRequest {
    /// - Parameter address: With its scheme. An answer may take as long as the hang guard allows.
    init(to address: String) {
        self.init(url: URL(string: address)!)
        timeoutInterval = Double(hangGuardSeconds)
    }
}

extension HTTPLimits {
    /// The standard limits, without deadlines for the client.
    static var patient: HTTPLimits {
        var limits = HTTPLimits.standard()
        (limits.headSeconds, limits.idleSeconds) = (hangGuardSeconds, hangGuardSeconds)
        (limits.bodyStallSeconds, limits.bodySeconds) = (hangGuardSeconds, hangGuardSeconds)
        (limits.drainSeconds, limits.writeStallSeconds) = (hangGuardSeconds, hangGuardSeconds)
        return limits
    }
}
