/// The threads and the memory of a computation. Every kernel and layer takes one.
public final class Workspace {
    public let pool: ThreadPool
    public let arena: Arena

    public init(threads: Int, arena: Arena = Arena()) {
        pool = ThreadPool(threads: threads)
        self.arena = arena
    }
}
