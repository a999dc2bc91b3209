/// A point of monotonic time since an origin that only its maker knows. Wall-clock jumps do not move it.
struct Instant: Comparable, Hashable, Sendable {
    var nanoseconds: Int64

    static let origin = Instant(nanoseconds: 0)

    static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

    static func + (instant: Instant, duration: Duration) -> Instant {
        Instant(nanoseconds: instant.nanoseconds + duration.nanoseconds)
    }

    func since(_ earlier: Instant) -> Duration { .nanoseconds(nanoseconds - earlier.nanoseconds) }
}

extension Duration {
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    var milliseconds: Int64 { nanoseconds / 1_000_000 }

    var inSeconds: Double { Double(nanoseconds) / 1e9 }
}
