/* Settings of glibc's allocator. Without them it keeps most of what a busy time has taken: after password hashes of 20 MiB
 * each a node stayed at 360 MiB that needs 27. Called before main, because only the first allocations of a process find the
 * number of arenas undecided. */
#include <malloc.h>

/* From this size on memory is mapped for one allocation and given back with it. */
#define MAPPED_FROM (1024 * 1024)
/* Free memory at the end of the heap that is kept. */
#define KEPT (1024 * 1024)
/* One arena for each processor of a small machine; more would each keep free memory of their own. */
#define ARENAS 2

__attribute__((constructor)) static void set_up_allocator(void) {
    mallopt(M_MMAP_THRESHOLD, MAPPED_FROM);
    mallopt(M_TRIM_THRESHOLD, KEPT);
    mallopt(M_ARENA_MAX, ARENAS);
}
