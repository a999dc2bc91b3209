#pragma once
#include <stdbool.h>

// What a thread costs the system, counted per thread: tests run beside each other.

/// Whether allocations are counted here: the C library is glibc, and no sanitizer has put its own in place.
bool texloom_counts_allocations(void);
/// Blocks of heap memory that this thread has asked for since it began.
long texloom_allocations(void);
/// Pages that the system had to give this thread since it began.
long texloom_page_faults(void);
