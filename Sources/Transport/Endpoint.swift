/// Which addresses a socket may listen on.
enum Endpoint {
    /// Whether only processes of this machine can reach the endpoint.
    static func isLocal(_ endpoint: String) -> Bool {
        if endpoint.hasPrefix("ipc://") || endpoint.hasPrefix("inproc://") { return true }
        guard endpoint.hasPrefix("tcp://") else { return false }
        let address = endpoint.dropFirst("tcp://".count)
        guard let colon = address.lastIndex(of: ":") else { return false }
        let host = address[..<colon]
        if host == "localhost" || host == "[::1]" { return true }
        // Digits throughout, so that a host name such as 127.example.org does not pass for an address.
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    static func requireLocal(_ endpoint: String, unlessAllowed allowUnencrypted: Bool) throws(TransportError) {
        guard allowUnencrypted || isLocal(endpoint) else {
            throw TransportError(
                .unencryptedEndpoint,
                "refusing to listen on \(endpoint): anybody who reaches it could take jobs and read artifacts, because "
                    + "the connection is neither encrypted nor authenticated; listen on 127.0.0.1 and use a tunnel, or "
                    + "allow unencrypted traffic explicitly on a network you trust")
        }
    }
}
