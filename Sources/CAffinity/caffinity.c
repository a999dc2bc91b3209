#define _GNU_SOURCE
#include "caffinity.h"

#include <sched.h>

int caffinity_count(void) {
    // Room for 8,192 processors, the most that Linux is built for; cpu_set_t alone has room for 1,024.
    enum { SETS = 8 };
    cpu_set_t mask[SETS];
    if (sched_getaffinity(0, sizeof mask, mask) != 0) return -1;
    int count = 0;
    for (int set = 0; set < SETS; set++) count += CPU_COUNT(&mask[set]);
    return count;
}
