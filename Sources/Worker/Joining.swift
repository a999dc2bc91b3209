import ClusterCore
import Foundation
import Logging
import Protocol
import Transport

/// Puts this worker's key on a coordinator's list, with an invitation.
struct Joining: Sendable {
    /// After this long without an answer there is none.
    static let patience = Duration.seconds(10)

    let invitation: Invitation
    let keys: CurveKeyPair
    let name: String
    let logger: Logger

    private enum Answer: Sendable {
        case joined(endpoint: String)
        case failed(String)
        case silence
    }

    /// - Returns: The membership, to be saved.
    /// - Throws: ``WorkerError`` that says why not, within ``patience``.
    func run() async throws(WorkerError) -> Membership {
        let answer = await withTaskGroup(of: Answer.self) { group in
            // All at once: an address that swallows packets must not use up the time of the others.
            for endpoint in invitation.endpoints { group.addTask { await ask(endpoint) } }
            var failure = Answer.silence
            for await answer in group {
                switch answer {
                case .joined:
                    group.cancelAll()
                    return answer
                case .failed: failure = answer
                case .silence: break
                }
            }
            return failure
        }
        switch answer {
        case .joined(let endpoint):
            return Membership(
                serverKey: invitation.serverKey, endpoint: endpoint, invitation: invitation.keys.publicKey)
        case .failed(let reason): throw WorkerError("cannot join: \(reason)")
        case .silence:
            throw WorkerError(
                "cannot join: no coordinator answers at \(invitation.endpoints.joined(separator: " or ")) within "
                    + "\(Self.patience.components.seconds) s; is it running, and does a firewall let this machine through?"
            )
        }
    }

    private func ask(_ endpoint: String) async -> Answer {
        var configuration = DealerSocket.Configuration(endpoint: endpoint)
        configuration.curve = Curve.Client(keys: invitation.keys, serverKey: invitation.serverKey)
        let socket: DealerSocket
        do {
            socket = try DealerSocket(configuration, logger: logger)
        } catch {
            return .failed(error.message)
        }
        let answer = await answer(of: socket)
        await socket.close()
        return answer
    }

    private func answer(of socket: DealerSocket) async -> Answer {
        let session = UInt64.random(in: 1...UInt64.max)
        var join = WireJoin()
        join.publicKey = Data(Z85.bytes(of: keys.publicKey) ?? [])
        join.name = name.shortened(to: Limits.maxNameBytes)
        let request = WireMessage(.join(join), session: session)
        return await withTaskGroup(of: Answer?.self) { group in
            group.addTask {
                for await message in socket.incoming where message.session == session {
                    switch message.body {
                    case .joined: return .joined(endpoint: socket.endpoint)
                    // It repeats its request; the disk may have room then.
                    case .refusal(let refusal) where refusal.code == .tryLater: continue
                    case .refusal(let refusal): return .failed(refusal.message)
                    default: continue
                    }
                }
                return nil
            }
            group.addTask {
                for await failure in socket.failures {
                    return .failed(failure.reason(endpoint: socket.endpoint, isInvited: true))
                }
                return nil
            }
            group.addTask {
                // A message before the connection waits in the socket.
                for _ in 0..<Self.patience.components.seconds where !Task.isCancelled {
                    socket.send(request)
                    try? await Task.sleep(for: .seconds(1))
                }
                return .silence
            }
            for await case let answer? in group {
                group.cancelAll()
                return answer
            }
            return .silence
        }
    }
}

extension LinkFailure {
    /// For people: what was found, and what to do.
    func reason(endpoint: String, isInvited: Bool) -> String {
        switch self {
        case .unknownKey where isInvited:
            "the coordinator at \(endpoint) does not know the invitation; ask for another one (texloom invite)"
        case .endedKey where isInvited:
            "the invitation has expired; ask for another one (texloom invite)"
        case .unknownKey:
            "the coordinator at \(endpoint) does not know this worker's key: the worker has never joined there, or was away "
                + "for 30 days, after which the coordinator forgets a key; join with a new invitation (texloom invite "
                + "there, then texloom worker --join STRING here)"
        case .endedKey:
            "the coordinator at \(endpoint) has revoked this worker's key; to let it in again, remove the file worker-key "
                + "in its data folder and join with a new invitation (texloom invite)"
        case .wrongServerKey:
            "what answers at \(endpoint) has another key than the coordinator that invited this worker; is the address "
                + "right? If the coordinator has a new key, join again with a new invitation (texloom invite)"
        case .serverIsPlain:
            "the coordinator at \(endpoint) speaks without encryption, and this worker has a key for an encrypted one; "
                + "name a coordinator that encrypts, or remove the file cluster.json in the worker's data folder"
        case .serverIsEncrypted:
            "the coordinator at \(endpoint) speaks only with workers that it has invited; run 'texloom invite' there, then "
                + "'texloom worker --join STRING' here"
        case .noZeroMQ: "what answers at \(endpoint) is no texloom coordinator"
        }
    }
}
