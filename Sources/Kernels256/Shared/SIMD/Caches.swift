#if canImport(Glibc)
    import Glibc
#endif

/// Cache sizes by which kernels choose their blocks. They never decide the order of a sum, so bytes do not depend on
/// them.
enum Caches {
    /// Floats that fit into a core's L2 cache: 256 KiB to 2 MiB, and 512 KiB where the system does not report its size.
    static let level2Floats: Int = {
        let bytes = sysconf(Int32(_SC_LEVEL2_CACHE_SIZE))
        return min(max(bytes <= 0 ? 512 << 10 : bytes, 256 << 10), 2 << 20) / MemoryLayout<Float>.size
    }()
}
