#pragma once
#include <stddef.h>
#include <sys/types.h>

// Starts a program in a process group of its own, with default signals, an empty signal mask and no descriptor but three:
// standard input is a file in memory with the given bytes, standard output is /dev/null, standard error a pipe.
//
// In C because these calls are extensions of glibc, which Swift does not import. posix_spawn, because a process with
// threads must not fork.
//
// Returns 0, or the number of an error. On success *child is the process and *errors the non-blocking end of the pipe, to
// be closed by the caller.
int texloom_spawn(
    const char *program, char *const arguments[], char *const environment[], const void *input, size_t inputBytes,
    pid_t *child, int *errors);
