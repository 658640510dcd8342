/* Changes files in every way that the shim knows, below the directory that is the first argument. The second one names
 * something that the shim must refuse. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHECK(condition) ((condition) ? (void)0 : (fprintf(stderr, "%d: %s, errno %d\n", __LINE__, #condition, errno), exit(1)))

/* Enters the kernel without the C library; a negative result is an error number. */
static long direct(long number, long a, long b, long c, long d, long e) {
#ifdef __x86_64__
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
#endif
}

static void refuse(const char *what, int fd) {
    if (strcmp(what, "mapping") == 0) mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (strcmp(what, "symlink") == 0) symlink("x", "s");
    if (strcmp(what, "punch") == 0) fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 512);
    if (strcmp(what, "exchange") == 0) renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE);
}

int main(int count, char **arguments) {
    CHECK(count == 3 && chdir(arguments[1]) == 0);
    CHECK(mkdir("d", 0700) == 0 && mkdirat(AT_FDCWD, "e", 0700) == 0 && rmdir("e") == 0);
    int a = open("a", O_CREAT | O_RDWR, 0640), b = openat(AT_FDCWD, "d/b", O_CREAT | O_WRONLY, 0600);
    CHECK(a >= 0 && b >= 0);
    struct iovec parts[] = {{"one,", 4}, {"two,", 4}};
    CHECK(write(a, "start,", 6) == 6 && writev(a, parts, 2) == 8 && write(dup(a), "more,", 5) == 5);
    CHECK(pwrite(a, "S", 1, 0) == 1 && pwritev(a, parts, 2, 100) == 8 && pwritev2(a, parts, 2, 200, 0) == 8);
    int end = open("a", O_WRONLY | O_APPEND);
    CHECK(end >= 0 && write(end, "end", 3) == 3 && pwrite(end, "end", 3, 0) == 3);
    CHECK(ftruncate(a, 300) == 0 && posix_fallocate(a, 0, 400) == 0 && syscall(SYS_fallocate, a, FALLOC_FL_KEEP_SIZE, 0L, 9000L) == 0);
    CHECK(fsync(a) == 0 && write(b, "bytes", 5) == 5 && fdatasync(b) == 0);
    int root = open(".", O_RDONLY | O_DIRECTORY), d = open("d", O_RDONLY | O_DIRECTORY);
    CHECK(fsync(root) == 0 && fsync(d) == 0);
    CHECK(copy_file_range(a, NULL, b, NULL, 10, 0) == -1 && errno == ENOSYS);
    CHECK(sync_file_range(a, 0, 0, SYNC_FILE_RANGE_WRITE) == 0);
    /* Nothing of what follows is synchronised. */
    CHECK(write(b, "lost", 4) == 4 && fchmod(a, 0600) == 0 && chmod("d/b", 0644) == 0);
    CHECK(link("a", "linked") == 0 && rename("linked", "d/moved") == 0 && unlink("d/b") == 0);
    CHECK(close(open("a", O_WRONLY | O_TRUNC)) == 0 && truncate("a", 77) == 0);
    CHECK(direct(SYS_renameat, AT_FDCWD, (long)"a", AT_FDCWD, (long)"renamed", 0) == 0);
    long c = direct(SYS_openat, AT_FDCWD, (long)"direct", O_CREAT | O_RDWR, 0600, 0);
    CHECK(c >= 0 && direct(SYS_write, c, (long)"direct", 6, 0, 0) == 6 && direct(SYS_pwrite64, c, (long)"!", 1, 600, 0) == 1);
    CHECK(direct(SYS_renameat, AT_FDCWD, (long)"not there", AT_FDCWD, (long)"x", 0) == -ENOENT);
    CHECK(syscall(SYS_mkdirat, AT_FDCWD, "numbered", 0700) == 0);
    char id[64] = "";
    int boot = open("/proc/sys/kernel/random/boot_id", O_RDONLY);
    CHECK(boot >= 0 && read(boot, id, 63) > 0);
    printf("%s", id);
    fflush(stdout);
    CHECK(creat("a", 0600) >= 0 && creat("b", 0600) >= 0);
    refuse(arguments[2], open("a", O_RDWR));
    return 0;
}
