/// Where a computation runs: its threads and its memory. Every kernel and layer is handed one.
public final class Workspace {
    public let pool: ThreadPool
    public let arena: Arena

    public init(threads: Int, arena: Arena = Arena()) {
        pool = ThreadPool(threads: threads)
        self.arena = arena
    }
}
