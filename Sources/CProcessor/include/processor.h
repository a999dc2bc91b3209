#pragma once

// What Swift has no name for.

/// Fetches a cache line that a kernel will read soon.
static inline void texloom_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

/// Whether processor and operating system run the instructions of x86-64-v4 (AVX-512). The compiler's run time asks
/// CPUID, and XCR0 whether the system saves the wide registers.
static inline int texloom_runs_avx512(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
    return 0;
#endif
}
