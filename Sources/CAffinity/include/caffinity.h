#pragma once

// sched_getaffinity, which Swift cannot import: glibc declares it for GNU sources alone.

// Processors that the calling thread may run on, or -1.
int caffinity_count(void);
