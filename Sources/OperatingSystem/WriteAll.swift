import Foundation

/// Writes all bytes into a descriptor, however many calls it takes.
/// - Returns: the system's error number; nil when everything is written.
public func writeAll(_ bytes: some ContiguousBytes, into descriptor: Int32) -> Int32? {
    bytes.withUnsafeBytes { buffer in
        var written = 0
        while written < buffer.count {
            let count = Glibc.write(descriptor, buffer.baseAddress! + written, buffer.count - written)
            if count >= 0 {
                written += count
            } else if errno == EAGAIN {
                // Another process that shares the descriptor made it non-blocking.
                var output = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&output, 1, -1)
            } else if errno != EINTR {
                return errno
            }
        }
        return nil
    }
}
