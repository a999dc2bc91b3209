#pragma once

// What Swift has no name for.

/// Fetches a cache line that a kernel will read soon.
static inline void texloom_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

/// Eight floats at any address.
typedef float texloom_float8 __attribute__((vector_size(32), aligned(4)));

/// Transposes 8 x 8 floats; strides are in floats. Pairs of rows are interleaved by single elements, then pairs of the
/// results by twos and by fours.
static inline void texloom_transpose8(const float *source, long sourceStride, float *target, long stride) {
    texloom_float8 rows[8], twos[8], fours[8];
    for (int i = 0; i < 8; i++) rows[i] = *(const texloom_float8 *)(source + i * sourceStride);
    for (int i = 0; i < 8; i += 2) {
        twos[i] = __builtin_shufflevector(rows[i], rows[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        twos[i + 1] = __builtin_shufflevector(rows[i], rows[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4) {
        for (int j = 0; j < 2; j++) {
            fours[i + 2 * j] = __builtin_shufflevector(twos[i + j], twos[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            fours[i + 2 * j + 1] = __builtin_shufflevector(twos[i + j], twos[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    }
    for (int i = 0; i < 4; i++) {
        *(texloom_float8 *)(target + i * stride) =
            __builtin_shufflevector(fours[i], fours[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        *(texloom_float8 *)(target + (i + 4) * stride) =
            __builtin_shufflevector(fours[i], fours[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

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
