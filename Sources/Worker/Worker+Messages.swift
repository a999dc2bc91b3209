import ClusterCore
import Foundation
import Logging
import Protocol
import Transport

extension Worker {
    /// Feeds events, messages and ticks to the loop until it has an exit.
    static func handle(
        _ events: AsyncStream<WorkerState.Event>, _ socket: DealerSocket, _ membership: MembershipFile?,
        by loop: WorkerLoop, _ logger: Logger
    ) async -> WorkerExit {
        await withTaskGroup(of: WorkerExit?.self) { group in
            group.addTask {
                for await event in events { if let exit = await loop.handle(event) { return exit } }
                return nil
            }
            group.addTask {
                // One by one, so that a full inbox holds the coordinator back.
                for await message in socket.incoming {
                    if case .nextKey(let next)? = message.body {
                        save(next, in: membership, answering: message, socket, logger)
                        continue
                    }
                    guard let content = MessageToWorker(message) else {
                        logger.warning("the coordinator sent a message that is not for workers")
                        continue
                    }
                    if let exit = await loop.handle(.received(content, session: message.session)) { return exit }
                }
                return nil
            }
            group.addTask {
                for await failure in socket.failures {
                    let reason = failure.reason(endpoint: socket.endpoint, isInvited: false)
                    if let exit = await loop.handle(.unwelcome(reason: reason, isFinal: failure == .endedKey)) {
                        return exit
                    }
                }
                return nil
            }
            group.addTask {
                while !Task.isCancelled {
                    if let exit = await loop.handle(.tick) { return exit }
                    try? await Task.sleep(for: .milliseconds(200))
                }
                return nil
            }
            for await case let exit? in group {
                group.cancelAll()
                return exit
            }
            return .stopped
        }
    }

    /// Saves the key that the coordinator will use, and says so.
    private static func save(
        _ next: WireNextKey, in membership: MembershipFile?, answering message: WireMessage, _ socket: DealerSocket,
        _ logger: Logger
    ) {
        // A plain coordinator has no key to announce.
        guard let membership else { return }
        let key = Z85.text(of: [UInt8](next.serverKey))
        do {
            try membership.announce(key)
        } catch {
            // The coordinator repeats its announcement.
            return logger.error("\(error)")
        }
        socket.learn(nextServerKey: key)
        var saved = WireKeySaved()
        saved.serverKey = next.serverKey
        socket.send(WireMessage(.keySaved(saved), session: message.session, version: message.envelope.version))
    }
}
