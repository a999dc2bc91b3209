import Foundation
import Synchronization

/// The membership of a running worker, which follows the coordinator's changes of its key.
final class MembershipFile: Sendable {
    private let folder: URL
    private let membership: Mutex<Membership>

    init(_ membership: Membership, in folder: URL) {
        self.folder = folder
        self.membership = Mutex(membership)
    }

    /// The coordinator has announced a key, in Z85. It is in the file when this returns.
    func announce(_ key: String) throws(WorkerError) {
        try change { membership in membership.nextServerKey = key == membership.serverKey ? nil : key }
    }

    /// The coordinator uses the announced key.
    func promote() throws(WorkerError) {
        try change { membership in
            membership.serverKey = membership.nextServerKey ?? membership.serverKey
            membership.nextServerKey = nil
        }
    }

    private func change(_ body: (inout Membership) -> Void) throws(WorkerError) {
        try membership.withLock { membership throws(WorkerError) in
            var changed = membership
            body(&changed)
            guard changed != membership else { return }
            try changed.save(in: folder)
            membership = changed
        }
    }
}
