import HTTPTypes
import Protocol

/// What each operation of the HTTP side asks of its caller. `AuthorizationMiddleware` applies it.
enum AccessTable {
    enum Requirement: Equatable, Sendable {
        /// Nothing: probes of supervisors, and what a browser needs to log in.
        case open
        case role(AccessRole)
        /// An admin with a token, also where the coordinator otherwise asks for none: a token outlives the setting that
        /// lets everyone in.
        case provenAdmin
    }

    struct Entry: Sendable {
        var requirement: Requirement
        /// For the audit log; nil for an operation that changes nothing.
        var action: String?
    }

    /// The entry of a route. A route that the table lacks is readable by viewers and changeable by admins.
    static func entry(_ method: HTTPRequest.Method, _ path: String) -> Entry {
        let changes = ![.get, .head, .options].contains(method)
        let read: HTTPRequest.Method = changes ? method : .get
        return table["\(read.rawValue) \(path)"]
            ?? Entry(
                requirement: .role(changes ? .admin : .viewer), action: changes ? "\(method.rawValue) \(path)" : nil)
    }

    /// By method and path pattern. Reads that are not here ask for a viewer.
    static let table: [String: Entry] = {
        var table: [String: Entry] = [:]
        for path in ["/healthz", "/readyz", "/login", "/assets/{version}/{file}"] {
            table["GET \(path)"] = Entry(requirement: .open)
        }
        table["POST /login"] = Entry(requirement: .open, action: "session.open")
        table["POST /logout"] = Entry(requirement: .open, action: "session.close")
        for prefix in ["", "/api/v1"] {
            for action in ["cancel", "retry", "priority"] {
                table["POST \(prefix)/jobs/{id}/\(action)"] = Entry(
                    requirement: .role(.submitter), action: "job.\(action)")
            }
            table["POST \(prefix)/workers/{id}/drain"] = Entry(requirement: .role(.admin), action: "worker.drain")
            table["GET \(prefix)/audit"] = Entry(requirement: .role(.admin))
        }
        for action in ["cancel", "retry"] {
            table["POST /api/v1/selection/\(action)"] = Entry(requirement: .role(.submitter), action: "jobs.\(action)")
            table["POST /batches/{name}/\(action)"] = Entry(requirement: .role(.submitter), action: "jobs.\(action)")
        }
        // A deletion cannot be undone, and jobs have no owners.
        for path in ["/api/v1/selection/delete", "/batches/{name}/delete", "/jobs/{id}/delete"] {
            table["POST \(path)"] = Entry(requirement: .role(.admin), action: "jobs.delete")
        }
        table["POST /api/v1/exemplars"] = Entry(requirement: .role(.submitter), action: "exemplar.store")
        table["POST /api/v1/jobs"] = Entry(requirement: .role(.submitter), action: "job.submit")
        table["POST /api/v1/invitations"] = Entry(requirement: .role(.admin), action: "worker.invite")
        table["POST /api/v1/workers/{id}/revoke"] = Entry(requirement: .role(.admin), action: "worker.revoke")
        table["GET /api/v1/server-key"] = Entry(requirement: .role(.admin))
        table["POST /api/v1/server-key/rotate"] = Entry(requirement: .role(.admin), action: "server-key.rotate")
        table["POST /api/v1/server-key/finish"] = Entry(requirement: .role(.admin), action: "server-key.finish")
        table["GET /api/v1/tokens"] = Entry(requirement: .role(.admin))
        table["POST /api/v1/tokens"] = Entry(requirement: .provenAdmin, action: "token.create")
        table["POST /api/v1/tokens/{name}/revoke"] = Entry(requirement: .provenAdmin, action: "token.revoke")
        return table
    }()
}
