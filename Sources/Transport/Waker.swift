import Foundation
import OperatingSystem

/// Ends another thread's poll: a pipe whose reading end is in its poll set.
final class Waker: Sendable {
    let descriptor: Int32
    private let writingEnd: Int32

    init() throws(TransportError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw TransportError(.system, "cannot open a pipe for a socket thread: \(reasonOfSystem(errno))")
        }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        descriptor = ends[0]
        writingEnd = ends[1]
    }

    deinit {
        close(descriptor)
        close(writingEnd)
    }

    /// May be called from any thread. A full pipe wakes the thread as well.
    func wake() {
        var byte: UInt8 = 1
        _ = write(writingEnd, &byte, 1)
    }

    func drain() {
        var bytes = [UInt8](repeating: 0, count: 256)
        while read(descriptor, &bytes, bytes.count) == bytes.count {}
    }
}
