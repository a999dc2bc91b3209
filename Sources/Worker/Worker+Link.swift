import ClusterCore
import Foundation
import Logging
import Transport

extension Worker {
    /// Where the coordinator is and how to encrypt. Joins its cluster first if there is an invitation to a new one.
    func link(
        as name: String, _ logger: Logger
    ) async throws(WorkerError) -> (DealerSocket.Configuration, MembershipFile?) {
        let folder = configuration.dataFolder
        var membership = try Membership(of: folder)
        var hasInvitation = false
        if let text = configuration.invitation {
            var invitation: Invitation
            do {
                invitation = try Invitation(text)
            } catch {
                throw WorkerError(error.message)
            }
            // An address on the command line is how this machine reaches the coordinator: a tunnel, for example.
            if let coordinator = configuration.coordinator { invitation.endpoints = [coordinator] }
            hasInvitation = true
            // A supervisor repeats the command line at every start, also when the coordinator has changed its key.
            if membership?.invitation != invitation.keys.publicKey {
                let joining = Joining(
                    invitation: invitation, keys: try Membership.keys(of: folder), name: name, logger: logger)
                membership = try await joining.run()
                try membership?.save(in: folder)
                logger.notice("joined the coordinator's cluster", metadata: ["coordinator": "\(membership!.endpoint)"])
            }
        }
        let endpoint = configuration.coordinator ?? membership?.endpoint ?? WorkerConfiguration.standardCoordinator
        var socket = DealerSocket.Configuration(endpoint: endpoint)
        if let patience = configuration.closingPatience { socket.closingPatience = patience }
        // A worker that has joined a cluster elsewhere can still work for a plain coordinator on this machine.
        if let membership, hasInvitation || endpoint == membership.endpoint || !Endpoint.isLoopback(endpoint) {
            socket.curve = Curve.Client(keys: try Membership.keys(of: folder), serverKey: membership.serverKey)
            socket.curve?.nextServerKey = membership.nextServerKey
            let file = MembershipFile(membership, in: folder)
            socket.onNextServerKey = {
                do {
                    try file.promote()
                    logger.notice("the coordinator has taken its new key into use")
                } catch {
                    logger.error("\(error)")
                }
            }
            return (socket, file)
        }
        return (socket, nil)
    }

    func connect(
        _ socket: DealerSocket.Configuration, _ logger: Logger
    ) throws(WorkerError) -> DealerSocket {
        do {
            return try DealerSocket(socket, logger: logger)
        } catch {
            throw WorkerError(error.message)
        }
    }
}
