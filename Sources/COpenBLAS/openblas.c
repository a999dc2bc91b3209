#include "openblas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    void (*sgemm)(enum CBLAS_ORDER, enum CBLAS_TRANSPOSE, enum CBLAS_TRANSPOSE, int, int, int, float, const float *, int,
                  const float *, int, float, float *, int);
    void (*set_num_threads)(int);
    char *(*get_corename)(void);
} library;

// A place in the environment for OPENBLAS_CORETYPE=..., under another name until it is needed: once threads run, setenv
// may free the list of variables while getenv reads it. Long enough for the longest value below.
static char core_type[] = "OPENBLAS_CORETYPE_RESERVED=";

// OpenBLAS reads its variables when it is loaded. They are set before main, while there is one thread.
__attribute__((constructor)) static void prepare_environment(void) {
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    if (!getenv("OPENBLAS_CORETYPE")) putenv(core_type);
}

static void *open_library(void) {
    void *handle = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    library.sgemm = handle ? dlsym(handle, "cblas_sgemm") : NULL;
    library.set_num_threads = handle ? dlsym(handle, "openblas_set_num_threads") : NULL;
    library.get_corename = handle ? dlsym(handle, "openblas_get_corename") : NULL;
    if (!library.sgemm || !library.set_num_threads || !library.get_corename) {
        fprintf(stderr, "texloom: OpenBLAS cannot be loaded (%s); install it (Debian: libopenblas0)\n", dlerror());
        exit(1);
    }
    return handle;
}

// The kernels for this CPU if OpenBLAS chose those of a much older one; NULL if its choice is good.
static const char *better_kernels(const char *chosen) {
#if defined(__x86_64__)
    static const char *const before_avx2[] = {"Prescott", "Core2", "Penryn", "Dunnington", "Nehalem", "Sandybridge",
                                              "Atom", "unknown"};
    for (size_t i = 0; i < sizeof before_avx2 / sizeof *before_avx2; i++) {
        if (strcmp(chosen, before_avx2[i]) != 0) continue;
        if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return NULL;
        int is_wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
            && __builtin_cpu_supports("avx512cd");
        return is_wide ? "SkylakeX" : "Haswell";
    }
#endif
    return NULL;
}

static void load(void) {
    void *handle = open_library();
    // An OpenBLAS older than the CPU does not know its model number and falls back on SSE3, at a quarter of the speed or
    // less. It reads OPENBLAS_CORETYPE when it is loaded, so it is loaded again. A user's value stays.
    const char *kernels = getenv("OPENBLAS_CORETYPE") ? NULL : better_kernels(library.get_corename());
    if (!kernels) return;
    snprintf(core_type, sizeof core_type, "OPENBLAS_CORETYPE=%s", kernels);
    dlclose(handle);
    open_library();
}

static void require_library(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
}

void cblas_sgemm(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE transA, enum CBLAS_TRANSPOSE transB,
                 int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                 float beta, float *c, int ldc) {
    require_library();
    library.sgemm(order, transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void openblas_set_num_threads(int threads) {
    require_library();
    library.set_num_threads(threads);
}
