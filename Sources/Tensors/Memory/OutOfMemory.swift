#if canImport(Glibc)
    import Glibc
#endif

/// Ends the process with a message and status 1. Memory runs out deep inside kernels, which throw no errors. It is
/// no programming mistake, so a trap and its backtrace would not help.
func endWithoutMemory(_ problem: String) -> Never {
    let message = "texloom: out of memory: \(problem)\n"
    _ = write(STDERR_FILENO, message, message.utf8.count)
    // Not exit(): other threads still compute.
    _exit(EXIT_FAILURE)
}
