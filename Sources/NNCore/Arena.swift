import Machine

#if canImport(Glibc)
    import Glibc
#endif

/// Scratch and activation memory for a computation: one reserved address range, handed out like a stack.
///
/// Memory is taken with `floats(_:)` and given back by `release(to:)` in the reverse order, which is the order in
/// which backward passes end. The range is reserved once and committed page by page as the stack grows, so a training
/// step needs no plan in advance and a steady one allocates nothing: `peakBytes` stands still after the first.
///
/// Not thread-safe: the thread that drives a computation owns it; kernels get their buffers before they fork.
public final class Arena {
    /// A height of the stack, to return to.
    public struct Mark: Sendable { fileprivate let offset: Int }

    /// Every buffer starts on a cache line, which keeps SIMD loads aligned and BLAS results independent of placement.
    public static let alignmentBytes = 64
    /// What the kernel's large pages hold on x86-64, and on arm64 with small pages of 4 KiB.
    static let hugePageBytes = 2 << 20
    private static let commitStepBytes = 16 << 20

    private let base: UnsafeMutableRawPointer
    /// Address space, which bounds what can be taken.
    public let reservedBytes: Int
    private var committedBytes = 0
    private var offset = 0
    /// The highest the stack has been.
    public private(set) var peakBytes = 0

    /// Reserves more than any computation takes; where the process's addresses are limited (ulimit -v), a share of them.
    /// - Parameter sharing: how many arenas of this kind the process will have.
    public convenience init(sharing count: Int = 1) {
        let (limit, free) = (MachineAllowance.current.addressBytes, MachineAllowance.current.freeAddressBytes)
        let bytes = Self.reservation(limit: limit, free: free, sharing: count)
        guard bytes > 0 else {
            endWithoutMemory(
                "the process may have \((free ?? 0) >> 20) MiB more of addresses, and needs at least "
                    + "\((Self.minBytes + Self.bytesLeft) >> 20) MiB; \(Self.advice)")
        }
        self.init(reservedBytes: bytes)
    }

    /// - Parameter reservedBytes: address space to reserve, not memory. Taking more ends the process with a message.
    public init(reservedBytes: Int) {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        var bytes = reservedBytes
        var range = mmap(nil, bytes, PROT_NONE, flags, -1, 0)
        // Some systems have fewer addresses than most.
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

    /// Half of a limit, and some of what is free, is left to weights, pictures, stacks and libraries; 0 if too little
    /// is left then.
    static func reservation(limit: Int?, free: Int?, sharing count: Int) -> Int {
        guard let limit, let free else { return 256 << 30 }
        let bytes = min(limit / 2 / count, free - bytesLeft, 256 << 30)
        return bytes < minBytes ? 0 : bytes / commitStepBytes * commitStepBytes
    }

    /// Without them the system's libraries wait for threads that cannot be started.
    private static let bytesLeft = 256 << 20
    /// What the smallest recipes take.
    private static let minBytes = 64 << 20

    private static let advice =
        "raise the limit of addresses (ulimit -v unlimited; h_vmem of Grid Engine, LimitAS= of systemd), or take fewer "
        + "slots, a smaller image or a smaller recipe"

    deinit { munmap(base, reservedBytes) }

    /// The stack's height now.
    public var mark: Mark { Mark(offset: offset) }

    /// Gives back everything taken since `mark`.
    public func release(to mark: Mark) {
        precondition(mark.offset <= offset, "arena released out of order")
        offset = mark.offset
    }

    /// Runs `body` and gives back what it took.
    public func scoped<Result>(_ body: () throws -> Result) rethrows -> Result {
        let start = mark
        defer { release(to: start) }
        return try body()
    }

    /// Gives the system back the pages above a height, whatever was in them: after work that needed far more than what
    /// follows. Nothing above the height may be in use. Who grows over it again gets fresh pages.
    public func returnPages(above height: Int) {
        let step = Self.commitStepBytes
        let start = (max(height, offset) + step - 1) / step * step
        guard start < committedBytes else { return }
        madvise(base + start, committedBytes - start, MADV_DONTNEED)
    }

    /// `count` rounded up so that what follows in an array of several such parts is aligned as well.
    public static func alignedCount(_ count: Int) -> Int {
        let floats = alignmentBytes / MemoryLayout<Float>.stride
        return (count + floats - 1) / floats * floats
    }

    /// Uninitialised memory for `count` floats, 64-byte aligned.
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
        // Not preconditions, which unchecked builds leave out: running out of memory is nobody's programming mistake.
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
        // Large pages where the kernel offers them: activations are streamed, and TLB misses cost several percent.
        madvise(base + committedBytes, target - committedBytes, MADV_HUGEPAGE)
        committedBytes = target
    }
}
