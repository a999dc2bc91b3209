#pragma once
// OpenBLAS, loaded at the first call rather than with the program: most commands compute nothing, and it starts a thread
// for every processor when it is loaded. What Kernels calls, with the signatures of OpenBLAS 0.3's cblas.h. If the library
// cannot be loaded, the first call ends the process with a message.
enum CBLAS_ORDER { CblasRowMajor = 101, CblasColMajor = 102 };
enum CBLAS_TRANSPOSE { CblasNoTrans = 111, CblasTrans = 112 };
void cblas_sgemm(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE transA, enum CBLAS_TRANSPOSE transB,
                 int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                 float beta, float *c, int ldc);
void openblas_set_num_threads(int threads);
