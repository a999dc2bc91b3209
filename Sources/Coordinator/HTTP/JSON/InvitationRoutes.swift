import Foundation
import Hummingbird
import Protocol
import Transport

/// `/api/v1/invitations`, the revocation of workers' keys, and the change of the coordinator's own key, for admins.
struct InvitationRoutes: Sendable {
    /// Nil on a coordinator whose workers' address is plain.
    let keys: WorkerKeys?
    let reader: ClusterReader
    let commands: ClusterCommands
    /// Where people say that workers reach the coordinator; empty: where it listens.
    let advertised: [String]
    let socket: RouterSocket?

    func add(to router: Router<CallerContext>) {
        let api = router.group("api/v1")
        api.post("invitations") { _, _ in try jsonResponse(try await invite(), status: .created) }
        api.post("workers/:id/revoke") { _, context in
            try jsonResponse(try await revoke(try context.parameters.require("id")))
        }
        api.get("server-key") { _, _ in try jsonResponse(try encrypting().rotation) }
        api.post("server-key/rotate") { _, _ in
            let keys = try encrypting()
            try keys.beginRotation()
            return try jsonResponse(keys.rotation)
        }
        api.post("server-key/finish") { request, _ in
            let keys = try encrypting()
            let query = try QueryParameters(request, known: "force")
            let force = query.text("force") ?? "false"
            guard ["true", "false"].contains(force) else {
                throw Problem(.badRequest, "force is '\(force)'; expected true or false")
            }
            try keys.finishRotation(leavesWorkersBehind: force == "true")
            socket?.use(keys.serverKeys)
            return try jsonResponse(keys.rotation)
        }
    }

    private func invite() async throws -> CreatedInvitation {
        guard let keys else {
            throw Problem(
                .conflict,
                "the workers' address \(reader.workerEndpoint) is plain, so a worker needs no invitation: 'texloom worker' "
                    + "on this machine connects. For workers elsewhere start the coordinator with --workers "
                    + "tcp://0.0.0.0:7741")
        }
        let endpoints = advertised.isEmpty ? Endpoint.reachable(reader.workerEndpoint) : advertised
        guard !endpoints.isEmpty else {
            throw Problem(
                .conflict,
                "this machine has no address that other machines could use; name one with 'texloom coordinator --advertise'"
            )
        }
        let (text, expiresAt) = try await keys.invite(to: endpoints)
        return CreatedInvitation(invitation: text, endpoints: endpoints, expiresAt: expiresAt)
    }

    private func encrypting() throws -> WorkerKeys {
        guard let keys else {
            throw Problem(.conflict, "the workers' address is plain, so this coordinator has no key")
        }
        return keys
    }

    /// - Parameter name: A worker's id, a key, or at least eight digits of a key.
    private func revoke(_ name: String) async throws -> RevokedKeys {
        guard let keys else {
            throw Problem(.conflict, "the workers' address is plain, so workers have no keys; drain the worker instead")
        }
        let owned = try await reader.store.workers().filter { $0.identity.id == name }
            .compactMap(\.identity.credentials.key)
        let found = owned.isEmpty ? keys.keys(matching: name).map(\.key) : owned
        guard found.count < 2 else {
            throw Problem(.conflict, "\(found.count) keys begin with \(name); give more digits")
        }
        guard let key = found.first else {
            throw Problem(.notFound, "no worker and no key is named '\(name)'; 'texloom workers' lists them")
        }
        try await keys.revoke(key)
        _ = try await commands.ask { .revoke($0, key: key, reason: WorkerGateway.revocation) }
        return RevokedKeys(keys: [key])
    }
}
