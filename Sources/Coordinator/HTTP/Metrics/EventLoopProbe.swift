import ClusterCore
import NIOCore

/// Measures the delay of the HTTP server's event loops. A loop that computes, or waits for a disk, delays every
/// request.
struct EventLoopProbe: Sendable {
    static let interval = Duration.seconds(1)
    /// The timer whose delay the probe measures.
    static let timer = Duration.milliseconds(10)

    let loops: any EventLoopGroup
    let metrics: CoordinatorMetrics
    let now: @Sendable () -> Instant

    /// Probes one loop after another until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.interval)
            let due = now() + Self.timer
            let task = loops.next().scheduleTask(in: TimeAmount(Self.timer)) { [now] in now().since(due) }
            guard let delay = try? await task.futureResult.get() else { return }
            metrics.update { $0.loopDelay.record(max(0, delay.inSeconds)) }
        }
    }
}
