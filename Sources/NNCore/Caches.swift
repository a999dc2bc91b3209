#if canImport(Glibc)
    import Glibc
#endif

/// The CPU's caches, as far as kernels cut their work by them. Never what is added to what: bytes do not depend on it.
enum Caches {
    /// Floats that fit into a core's L2 cache; of 512 KiB where the system does not say, and of no more than 2 MiB.
    static let level2Floats: Int = {
        let bytes = sysconf(Int32(_SC_LEVEL2_CACHE_SIZE))
        return min(max(bytes <= 0 ? 512 << 10 : bytes, 256 << 10), 2 << 20) / MemoryLayout<Float>.size
    }()
}
