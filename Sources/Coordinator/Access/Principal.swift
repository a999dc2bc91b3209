import Hummingbird
import NIOCore
import Protocol
import Synchronization

/// Who sends a request.
struct Principal: Sendable, Equatable {
    static let anonymousName = "anonymous"

    /// The token's name, or `anonymous`.
    var name: String
    var role: AccessRole
    /// The id of the token that proves it; nil without one.
    var tokenID: Int64?

    /// A caller of a coordinator that asks for no tokens.
    static let anonymous = Principal(name: anonymousName, role: .admin)

    /// Identifies a caller in limits: a token, or the address of a caller without one.
    func key(from address: String) -> String { tokenID.map { "token \($0)" } ?? "address \(address)" }
}

/// What the handlers of a request know of it, beside its bytes.
struct CallerContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// Set by `AuthenticationMiddleware`. No handler runs before that.
    var principal: Principal?
    /// The peer's IP address. Behind a reverse proxy it is the proxy's.
    let address: String
    /// What the audit log says was changed.
    let audited = AuditedObject()

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        address = source.channel.remoteAddress?.ipAddress ?? "unknown"
    }

    /// Identifies the caller in limits.
    var callerKey: String { (principal ?? .anonymous).key(from: address) }
}

/// A handler names here what it changed, when the request's path does not.
final class AuditedObject: Sendable {
    private let text = Mutex<String?>(nil)

    var name: String? {
        get { text.withLock { $0 } }
        set { text.withLock { $0 = newValue } }
    }
}
