#if canImport(Glibc)
    import Glibc
#endif

/// Ends the process with a message and status 1. Want of memory is met deep in a kernel, which has no errors to throw,
/// and is no programming mistake, whose backtrace would help.
func endWithoutMemory(_ problem: String) -> Never {
    let message = "texloom: out of memory: \(problem)\n"
    _ = write(STDERR_FILENO, message, message.utf8.count)
    // Not exit(): other threads still compute.
    _exit(EXIT_FAILURE)
}
