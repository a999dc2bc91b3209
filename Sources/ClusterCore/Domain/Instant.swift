/// A point in monotonic time, counted from an origin that only its maker knows. Wall-clock jumps do not move it.
package struct Instant: Comparable, Hashable, Sendable {
    package var nanoseconds: Int64

    package init(
        nanoseconds: Int64
    ) {
        self.nanoseconds = nanoseconds
    }

    package static let origin = Instant(nanoseconds: 0)

    package static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

    package static func + (instant: Instant, duration: Duration) -> Instant {
        Instant(nanoseconds: instant.nanoseconds + duration.nanoseconds)
    }

    package func since(_ earlier: Instant) -> Duration { .nanoseconds(nanoseconds - earlier.nanoseconds) }
}

extension Duration {
    package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    package var milliseconds: Int64 { nanoseconds / 1_000_000 }

    /// Not by way of nanoseconds, whose 64 bits end after 292 years.
    package var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
