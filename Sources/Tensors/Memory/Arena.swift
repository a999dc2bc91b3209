import Machine

#if canImport(Glibc)
    import Glibc
#endif

/// Scratch and activation memory for a computation: one reserved address range, used as a stack.
///
/// `floats(_:)` takes memory; `release(to:)` gives it back in the reverse order, in which backward passes end. The
/// range is reserved once and committed as the stack grows, so a training step needs no plan in advance, and after the
/// first step `peakBytes` no longer changes and nothing is allocated.
///
/// Buffers are raw pointers: nothing checks accesses within the range. Taking more than the range ends the process.
///
/// Not thread-safe: the thread that drives a computation owns the arena; kernels take their buffers before they fork.
public final class Arena {
    /// A height of the stack to return to.
    public struct Mark: Sendable { fileprivate let offset: Int }

    /// Every buffer starts on a cache line: SIMD loads are aligned, and BLAS results do not depend on the address.
    public static let alignmentBytes = 64
    /// Size of Linux's large pages on x86-64, and on arm64 with small pages of 4 KiB.
    package static let hugePageBytes = 2 << 20
    private static let commitStepBytes = 16 << 20

    private let base: UnsafeMutableRawPointer
    /// Size of the address range, the most that can be taken.
    public let reservedBytes: Int
    private var committedBytes = 0
    private var offset = 0
    /// The greatest height of the stack so far.
    public private(set) var peakBytes = 0

    /// Reserves more than any computation takes, or a share of the addresses where they are limited (ulimit -v).
    /// - Parameter sharing: the number of such arenas in the process.
    public convenience init(sharing count: Int = 1) {
        let (limit, free) = (MachineAllowance.current.addressBytes, MachineAllowance.current.freeAddressBytes)
        let bytes = Self.reservation(limit: limit, free: free, sharing: count)
        guard bytes > 0 else {
            endWithoutMemory(
                "the process has \((free ?? 0) >> 20) MiB of addresses left and needs at least "
                    + "\((Self.minBytes + Self.bytesLeft) >> 20) MiB; \(Self.advice)")
        }
        self.init(reservedBytes: bytes)
    }

    /// - Parameter reservedBytes: address space to reserve; memory is committed later. Taking more ends the process
    ///   with a message.
    public init(reservedBytes: Int) {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        var bytes = reservedBytes
        var range = mmap(nil, bytes, PROT_NONE, flags, -1, 0)
        // Some systems have a smaller address space.
        while range == MAP_FAILED, bytes > 1 << 30 {
            bytes /= 2
            range = mmap(nil, bytes, PROT_NONE, flags, -1, 0)
        }
        guard bytes > 0, let range, range != MAP_FAILED else {
            endWithoutMemory(
                "\(reservedBytes >> 20) MiB of addresses cannot be reserved (errno \(errno)); \(Self.advice)")
        }
        base = range
        self.reservedBytes = bytes
    }

    /// Leaves half of a limit, and 256 MiB of the free addresses, to weights, pictures, stacks and libraries.
    /// - Returns: 0 if too little remains.
    static func reservation(limit: Int?, free: Int?, sharing count: Int) -> Int {
        guard let limit, let free else { return 256 << 30 }
        let bytes = min(limit / 2 / count, free - bytesLeft, 256 << 30)
        return bytes < minBytes ? 0 : bytes / commitStepBytes * commitStepBytes
    }

    /// Without these, system libraries wait for threads that cannot start.
    private static let bytesLeft = 256 << 20
    /// The needs of the smallest recipes.
    private static let minBytes = 64 << 20

    private static let advice =
        "raise the limit of addresses (ulimit -v unlimited; h_vmem of Grid Engine, LimitAS= of systemd), or take fewer "
        + "slots, a smaller image or a smaller recipe"

    deinit { munmap(base, reservedBytes) }

    /// The stack's height now.
    public var mark: Mark { Mark(offset: offset) }

    /// Gives back everything taken since `mark`.
    public func release(to mark: Mark) {
        require(mark.offset <= offset, "the arena is released to a height above its own")
        offset = mark.offset
    }

    /// Runs `body`, then gives back the memory it took.
    @inlinable
    @inline(__always)
    public func scoped<Result>(_ body: () throws -> Result) rethrows -> Result {
        let start = mark
        defer { release(to: start) }
        return try body()
    }

    /// Returns the pages above a height to the system, after work that needed far more memory than the work that
    /// follows. Pages in use stay. When the stack grows again, it gets fresh pages.
    public func returnPages(above height: Int) {
        let step = Self.commitStepBytes
        let start = (max(height, offset) + step - 1) / step * step
        guard start < committedBytes else { return }
        madvise(base + start, committedBytes - start, MADV_DONTNEED)
    }

    /// `count` rounded up to whole cache lines, so that the next part of an array is aligned too.
    public static func alignedCount(_ count: Int) -> Int {
        let floats = alignmentBytes / MemoryLayout<Float>.stride
        return (count + floats - 1) / floats * floats
    }

    /// Uninitialised memory for `count` floats, 64-byte aligned. Ends the process with a message if the range is full.
    public func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
        let bytes = Self.alignedCount(count) * MemoryLayout<Float>.stride
        let start = offset
        offset += bytes
        if offset > committedBytes { commit(upTo: offset) }
        if offset > peakBytes { peakBytes = offset }
        return (base + start).assumingMemoryBound(to: Float.self)
    }

    private func commit(upTo end: Int) {
        let target = (end + Self.commitStepBytes - 1) / Self.commitStepBytes * Self.commitStepBytes
        guard target <= reservedBytes else {
            endWithoutMemory(
                "the computation needs \(end >> 20) MiB and may have \(reservedBytes >> 20) MiB; \(Self.advice)")
        }
        let ok = mprotect(base + committedBytes, target - committedBytes, PROT_READ | PROT_WRITE)
        guard ok == 0 else {
            endWithoutMemory(
                "the system refuses \((target - committedBytes) >> 20) MiB more (errno \(errno)); end other programs, or "
                    + Self.advice)
        }
        // Large pages where Linux offers them: TLB misses on streamed activations cost several percent.
        madvise(base + committedBytes, target - committedBytes, MADV_HUGEPAGE)
        committedBytes = target
    }
}

extension Arena {
    /// Uninitialised memory for `count` integers.
    package func integers(_ count: Int) -> UnsafeMutablePointer<Int> {
        let words = floats(count * (MemoryLayout<Int>.size / MemoryLayout<Float>.size))
        return UnsafeMutableRawPointer(words).bindMemory(to: Int.self, capacity: count)
    }
}
