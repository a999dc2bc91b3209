import NIOCore
import Synchronization

/// The open HTTP connections.
final class HTTPConnections: Sendable {
    private struct State {
        var open: [ObjectIdentifier: any Channel] = [:]
        var byAddress: [String: Int] = [:]
    }

    let limits: HTTPLimits
    private let state = Mutex(State())

    init(limits: HTTPLimits) { self.limits = limits }

    var count: Int { state.withLock { $0.open.count } }

    /// Counts a connection until it closes.
    /// - Returns: false if there are too many, in all or from its address.
    func admit(_ channel: any Channel) -> Bool {
        let address = channel.remoteAddress?.ipAddress ?? ""
        let id = ObjectIdentifier(channel)
        let isAdmitted = state.withLock { state in
            guard state.open.count < limits.connections,
                state.byAddress[address, default: 0] < limits.connectionsPerAddress
            else { return false }
            state.open[id] = channel
            state.byAddress[address, default: 0] += 1
            return true
        }
        guard isAdmitted else { return false }
        channel.closeFuture.whenComplete { [self] _ in
            state.withLock { state in
                state.open[id] = nil
                let left = state.byAddress[address, default: 1] - 1
                state.byAddress[address] = left > 0 ? left : nil
            }
        }
        return true
    }

    func closeAll() {
        for channel in state.withLock({ Array($0.open.values) }) { channel.close(promise: nil) }
    }
}
