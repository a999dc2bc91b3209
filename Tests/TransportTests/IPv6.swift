import Foundation
import Glibc

/// Whether this machine has the address ::1. Some containers have IPv4 only.
private let hasIPv6: Bool = {
    let descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_addr = in6addr_loopback
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) == 0
        }
    }
}()

/// Arguments of tests; none of them on a machine without IPv6.
func ipv6Addresses(_ addresses: String...) -> [String] {
    if hasIPv6 { return addresses }
    print("skipped: this machine has no IPv6 loopback address for", addresses.joined(separator: " and "))
    return []
}
