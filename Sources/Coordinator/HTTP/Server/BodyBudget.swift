import Hummingbird
import Synchronization

/// Bytes of bodies that wait in memory, in all and of each caller. A body that arrives slowly holds its bytes for long.
final class BodyBudget: Sendable {
    private let all: Int
    private let perCaller: Int
    private let held = Mutex<[String: Int]>([:])

    init(all: Int, perCaller: Int) {
        self.all = all
        self.perCaller = perCaller
    }

    var bytes: Int { held.withLock { $0.values.reduce(0, +) } }

    /// - Throws: `Problem` (429 or 503) if too many bytes wait.
    func take(_ bytes: Int, for caller: String) throws {
        try held.withLock { held in
            let own = held[caller, default: 0] + bytes
            guard own <= perCaller else {
                throw Problem(
                    .tooManyRequests,
                    "your unfinished requests hold more than \(perCaller) bytes; send them one after the other",
                    headers: [.retryAfter: "5"])
            }
            guard held.values.reduce(bytes, +) <= all else {
                throw Problem(
                    .serviceUnavailable, "unfinished requests hold \(all) bytes; try again", headers: [.retryAfter: "5"]
                )
            }
            held[caller] = own
        }
    }

    func giveBack(_ bytes: Int, of caller: String) {
        held.withLock { held in
            let left = held[caller, default: 0] - bytes
            held[caller] = left > 0 ? left : nil
        }
    }
}
