/* Records every change that a program makes below a directory, and every flush (fsync, fdatasync) there.
 *
 * Preloaded into the program under test (LD_PRELOAD). Environment:
 *   POWER_CUT_ROOT     directory to record, an absolute path without symbolic links
 *   POWER_CUT_TRACE    existing file to which records are appended; outside of that directory
 *   POWER_CUT_OMIT     "all", "files" or "directories": flushes that report success without effect
 *   POWER_CUT_BOOT_ID  file that the program reads instead of /proc/sys/kernel/random/boot_id
 *
 * A change and its record are atomic: the shim holds a mutex and a lock (flock) on the trace during both. A process that
 * takes this lock before it kills the program finds a trace that agrees with the directory. A flush leaves two records, one
 * before it begins and one after it succeeded, and holds no lock in between. sync_file_range and msync do not count as
 * flushes: the first does not cover metadata, and the second is for mappings, which are refused.
 *
 * Some libraries make system calls without the C library. A seccomp filter turns such calls into SIGSYS, and the handler
 * passes them to the same functions. A call that the shim cannot record ends the program with a message. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "the registers of system calls are only known for x86_64 and aarch64"
#endif

#define WATCHED_BOOT_ID "/proc/sys/kernel/random/boot_id"
#define EXPORT __attribute__((visibility("default")))

/* Parsed by trace.rs. Names are in the payload; if there are two, the first has `offset` bytes. */
enum kind {
    CREATE = 1,      /* node, parent, mode in length, name */
    LINK = 2,        /* node, parent, name */
    UNLINK = 3,      /* node, parent, name; also for directories */
    RENAME = 4,      /* node, parent, target, both names */
    WRITE = 5,       /* node, offset, bytes */
    TRUNCATE = 6,    /* node, length; also what extends a file */
    MODE = 7,        /* node, mode in length */
    SYNC_BEGIN = 8,  /* node, number in offset, path */
    SYNC_END = 9,    /* node, number in offset, path */
};

struct record {
    uint32_t kind;
    uint32_t payload;
    uint64_t node;
    uint64_t parent;
    uint64_t target;
    uint64_t offset;
    uint64_t length;
};

static char root[PATH_MAX];
static size_t root_length;
static dev_t device;
static char boot_id[PATH_MAX];
static int trace = -1;
static int omit_files, omit_directories;
static int ready;
static uint64_t flushes;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

static long (*kernel_entry)(long, ...);

/* The C library's own `syscall`: the filter allows calls from its address range. */
static long kernel(long number, long a, long b, long c, long d, long e, long f) {
    if (!kernel_entry) kernel_entry = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return kernel_entry(number, a, b, c, d, e, f);
}
#define K(number, a, b, c, d, e, f) kernel(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static void fail(const char *what) {
    char text[256];
    int length = snprintf(text, sizeof text, "power-cut shim: unsupported: %s (errno %d)\n", what, errno);
    K(SYS_write, 2, text, length, 0, 0, 0);
    abort();
}

static void lock(void) {
    pthread_mutex_lock(&order);
    while (K(SYS_flock, trace, LOCK_EX, 0, 0, 0, 0) != 0)
        if (errno != EINTR) fail("the trace cannot be locked");
}

static void unlock(void) {
    int before = errno;
    K(SYS_flock, trace, LOCK_UN, 0, 0, 0, 0);
    pthread_mutex_unlock(&order);
    errno = before;
}

/* Appends a record. The caller holds the lock. */
static void emit(struct record record, const struct iovec *payload, int parts) {
    struct iovec all[IOV_MAX < 64 ? IOV_MAX : 64];
    int before = errno;
    size_t size = 0;
    if (parts + 1 > (int)(sizeof all / sizeof *all)) fail("a write in that many parts");
    for (int i = 0; i < parts; i++) {
        all[i + 1] = payload[i];
        size += payload[i].iov_len;
    }
    if (size > UINT32_MAX) fail("a write of that size");
    record.payload = (uint32_t)size;
    all[0] = (struct iovec){&record, sizeof record};
    if (K(SYS_writev, trace, all, parts + 1, 0, 0, 0) != (long)(sizeof record + size)) fail("the trace cannot be written");
    errno = before;
}

static void emit_text(struct record record, const char *text) {
    struct iovec payload = {(void *)text, strlen(text)};
    emit(record, &payload, 1);
}

/* --- recorded files --- */

static int is_below(const char *path) {
    return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == '\0');
}

/* Whether a descriptor is a file or directory below the root; if so, with its status and path. */
static int is_watched(int fd, struct stat *status, char path[PATH_MAX]) {
    char link[64];
    int before = errno;
    int found = 0;
    if (ready && fd >= 0 && fstat(fd, status) == 0 && (S_ISREG(status->st_mode) || S_ISDIR(status->st_mode))
        && status->st_dev == device) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, PATH_MAX - 1);
        if (length > 0) {
            path[length] = '\0';
            found = is_below(path);
        }
    }
    errno = before;
    return found;
}

/* A recorded regular file that has a name. A file without a name is lost in a power cut anyway. */
static int is_file(int fd, struct stat *status) {
    char path[PATH_MAX];
    return is_watched(fd, status, path) && S_ISREG(status->st_mode) && status->st_nlink > 0;
}

/* A name in a directory. */
struct place {
    int directory; /* O_PATH descriptor, or -1 */
    uint64_t parent;
    char name[NAME_MAX + 1];
    int exists;
    struct stat status; /* of the node, if it exists */
};

static void leave(struct place *place) {
    int before = errno;
    if (place->directory >= 0) K(SYS_close, place->directory, 0, 0, 0, 0, 0);
    place->directory = -1;
    errno = before;
}

/* Resolves a path to a name in a directory; returns whether it is below the root. */
static int find(int at, const char *path, struct place *place) {
    char folder[PATH_MAX], where[PATH_MAX];
    struct stat status;
    int before = errno;
    place->directory = -1;
    place->exists = 0;
    size_t length = path ? strlen(path) : 0;
    if (!ready || length == 0 || length >= sizeof folder) return 0;
    memcpy(folder, path, length + 1);
    while (length > 1 && folder[length - 1] == '/') folder[--length] = '\0';
    char *slash = strrchr(folder, '/');
    const char *name = slash ? slash + 1 : folder;
    if (*name == '\0' || strlen(name) > NAME_MAX) return 0;
    strcpy(place->name, name);
    if (slash) slash[slash == folder] = '\0';
    int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    place->directory = (int)K(SYS_openat, at, slash ? folder : ".", flags, 0, 0, 0);
    if (place->directory < 0 || !is_watched(place->directory, &status, where)) {
        leave(place);
        errno = before;
        return 0;
    }
    place->parent = status.st_ino;
    place->exists = fstatat(place->directory, place->name, &place->status, AT_SYMLINK_NOFOLLOW) == 0;
    errno = before;
    return 1;
}

/* --- names --- */

static int open_at(int at, const char *path, int flags, mode_t mode) {
    struct place place;
    if (ready && boot_id[0] && path && strcmp(path, WATCHED_BOOT_ID) == 0) path = boot_id;
    int is_nameless = (flags & O_TMPFILE) == O_TMPFILE;
    if (!ready || is_nameless || !(flags & (O_CREAT | O_TRUNC))) return (int)K(SYS_openat, at, path, flags, mode, 0, 0);
    lock();
    if (!find(at, path, &place)) {
        int fd = (int)K(SYS_openat, at, path, flags, mode, 0, 0);
        unlock();
        return fd;
    }
    if (place.exists && S_ISLNK(place.status.st_mode)) fail("a symbolic link");
    int fd = (int)K(SYS_openat, at, path, flags, mode, 0, 0);
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) == 0) {
        struct record record = {.node = status.st_ino, .parent = place.parent, .length = status.st_mode};
        if (!place.exists) {
            record.kind = CREATE;
            emit_text(record, place.name);
        } else if ((flags & O_TRUNC) && S_ISREG(status.st_mode) && place.status.st_size > 0) {
            emit((struct record){.kind = TRUNCATE, .node = status.st_ino}, NULL, 0);
        }
    }
    leave(&place);
    unlock();
    return fd;
}

static int make_directory(int at, const char *path, mode_t mode) {
    struct place place;
    struct stat status;
    lock();
    int is_watched_name = find(at, path, &place);
    int result = (int)K(SYS_mkdirat, at, path, mode, 0, 0, 0);
    if (result == 0 && is_watched_name) {
        if (fstatat(place.directory, place.name, &status, AT_SYMLINK_NOFOLLOW) != 0) fail("a directory that vanishes");
        struct record record = {.kind = CREATE, .node = status.st_ino, .parent = place.parent, .length = status.st_mode};
        emit_text(record, place.name);
    }
    leave(&place);
    unlock();
    return result;
}

static int remove_name(int at, const char *path, int flags) {
    struct place place;
    lock();
    int is_watched_name = find(at, path, &place);
    int result = (int)K(SYS_unlinkat, at, path, flags, 0, 0, 0);
    if (result == 0 && is_watched_name) {
        struct record record = {.kind = UNLINK, .node = place.status.st_ino, .parent = place.parent};
        emit_text(record, place.name);
    }
    leave(&place);
    unlock();
    return result;
}

static int rename_name(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    struct place source, target;
    lock();
    int leaves = find(from_at, from, &source), arrives = find(to_at, to, &target);
    if (leaves != arrives) fail("a rename across the border of the watched directory");
    if (leaves && (flags & ~(unsigned)RENAME_NOREPLACE)) fail("a rename that exchanges names");
    int result = (int)K(SYS_renameat2, from_at, from, to_at, to, flags, 0);
    int is_same = target.exists && source.exists && target.status.st_ino == source.status.st_ino;
    if (result == 0 && leaves && !is_same) {
        struct record record = {.kind = RENAME, .node = source.status.st_ino, .parent = source.parent};
        record.target = target.parent;
        record.offset = strlen(source.name);
        struct iovec names[] = {{source.name, record.offset}, {target.name, strlen(target.name)}};
        emit(record, names, 2);
    }
    leave(&source);
    leave(&target);
    unlock();
    return result;
}

static int link_name(int from_at, const char *from, int to_at, const char *to, int flags) {
    struct place target;
    struct stat status;
    lock();
    int is_watched_name = find(to_at, to, &target);
    int result = (int)K(SYS_linkat, from_at, from, to_at, to, flags, 0);
    if (result == 0 && is_watched_name) {
        if (fstatat(target.directory, target.name, &status, AT_SYMLINK_NOFOLLOW) != 0) fail("a link that vanishes");
        if (status.st_nlink < 2) fail("a name for a nameless file");
        emit_text((struct record){.kind = LINK, .node = status.st_ino, .parent = target.parent}, target.name);
    }
    leave(&target);
    unlock();
    return result;
}

static int refuse_name(int at, const char *path, const char *what) {
    struct place place;
    int is_watched_name = find(at, path, &place);
    leave(&place);
    if (is_watched_name) fail(what);
    return 0;
}

static int mode_of_name(int at, const char *path, mode_t mode) {
    struct place place;
    struct stat status;
    lock();
    int is_watched_name = find(at, path, &place);
    int result = (int)K(SYS_fchmodat, at, path, mode, 0, 0, 0);
    if (result == 0 && is_watched_name && fstatat(at, path, &status, 0) == 0)
        emit((struct record){.kind = MODE, .node = status.st_ino, .length = status.st_mode}, NULL, 0);
    leave(&place);
    unlock();
    return result;
}

static int mode_of_file(int fd, mode_t mode) {
    struct stat status;
    char path[PATH_MAX];
    if (!is_watched(fd, &status, path)) return (int)K(SYS_fchmod, fd, mode, 0, 0, 0, 0);
    lock();
    int result = (int)K(SYS_fchmod, fd, mode, 0, 0, 0, 0);
    if (result == 0 && fstat(fd, &status) == 0)
        emit((struct record){.kind = MODE, .node = status.st_ino, .length = status.st_mode}, NULL, 0);
    unlock();
    return result;
}

/* --- contents --- */

/* Records what a write call just wrote. The caller holds the lock. `position` is -1 if the file's own position moved. */
static void wrote(int fd, const struct iovec *parts, int count, size_t size, off_t position) {
    struct iovec written[64];
    struct stat status;
    int flags = fcntl(fd, F_GETFL), used = 0;
    if (fstat(fd, &status) != 0) fail("a descriptor that closes during a write");
    uint64_t start = position >= 0 ? (uint64_t)position : (uint64_t)lseek(fd, 0, SEEK_CUR) - size;
    if (flags & O_APPEND) start = (uint64_t)status.st_size - size;
    size_t left = size;
    for (int i = 0; i < count && left > 0; i++) {
        if (used == 63) fail("a write in that many parts");
        size_t part = parts[i].iov_len < left ? parts[i].iov_len : left;
        written[used++] = (struct iovec){parts[i].iov_base, part};
        left -= part;
    }
    emit((struct record){.kind = WRITE, .node = status.st_ino, .offset = start}, written, used);
    if ((flags & O_DSYNC) && !omit_files) {
        struct record record = {.kind = SYNC_BEGIN, .node = status.st_ino, .offset = ++flushes};
        emit(record, NULL, 0);
        record.kind = SYNC_END;
        emit(record, NULL, 0);
    }
}

static ssize_t write_parts(long number, int fd, const struct iovec *parts, int count, off_t position, int flags) {
    struct stat status;
    /* The kernel takes the position in two halves and uses only the first on 64-bit machines. */
    if (!is_file(fd, &status)) return K(number, fd, parts, count, position, 0, flags);
    lock();
    ssize_t size = K(number, fd, parts, count, position, 0, flags);
    if (size > 0) wrote(fd, parts, count, (size_t)size, number == SYS_writev ? -1 : position);
    if (size > 0 && (flags & (RWF_DSYNC | RWF_SYNC | RWF_APPEND))) fail("a write with flags of its own");
    unlock();
    return size;
}

static ssize_t write_one(int fd, const void *bytes, size_t length, off_t position) {
    struct stat status;
    long number = position < 0 ? SYS_write : SYS_pwrite64;
    if (!is_file(fd, &status)) return K(number, fd, bytes, length, position, 0, 0);
    lock();
    ssize_t size = K(number, fd, bytes, length, position, 0, 0);
    struct iovec part = {(void *)bytes, length};
    if (size > 0) wrote(fd, &part, 1, (size_t)size, position);
    unlock();
    return size;
}

static int set_length(int fd, off_t length) {
    struct stat status;
    if (!is_file(fd, &status)) return (int)K(SYS_ftruncate, fd, length, 0, 0, 0, 0);
    lock();
    int result = (int)K(SYS_ftruncate, fd, length, 0, 0, 0, 0);
    if (result == 0)
        emit((struct record){.kind = TRUNCATE, .node = status.st_ino, .length = (uint64_t)length}, NULL, 0);
    unlock();
    return result;
}

static int set_length_of_name(const char *path, off_t length) {
    int fd = open_at(AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0) return -1;
    int result = set_length(fd, length), before = errno;
    K(SYS_close, fd, 0, 0, 0, 0, 0);
    errno = before;
    return result;
}

static int allocate(int fd, int mode, off_t offset, off_t length) {
    struct stat before, after;
    if (!is_file(fd, &before)) return (int)K(SYS_fallocate, fd, mode, offset, length, 0, 0);
    if (mode & ~FALLOC_FL_KEEP_SIZE) fail("fallocate that changes contents");
    lock();
    int result = fstat(fd, &before) == 0 ? (int)K(SYS_fallocate, fd, mode, offset, length, 0, 0) : -1;
    if (result == 0 && fstat(fd, &after) == 0 && after.st_size > before.st_size)
        emit((struct record){.kind = TRUNCATE, .node = after.st_ino, .length = (uint64_t)after.st_size}, NULL, 0);
    unlock();
    return result;
}

/* Copies inside the kernel are refused for recorded files; callers then fall back to read and write. */
static int is_copy_target(int fd) {
    struct stat status;
    int refused = is_file(fd, &status);
    if (refused) errno = ENOSYS;
    return refused;
}

static int flush_file(long number, int fd) {
    struct stat status;
    char path[PATH_MAX];
    if (!is_watched(fd, &status, path)) return (int)K(number, fd, 0, 0, 0, 0, 0);
    if (S_ISDIR(status.st_mode) ? omit_directories : omit_files) return 0;
    struct record record = {.kind = SYNC_BEGIN, .node = status.st_ino};
    lock();
    record.offset = ++flushes;
    emit_text(record, path);
    unlock();
    int result = (int)K(number, fd, 0, 0, 0, 0, 0);
    if (result == 0) {
        lock();
        record.kind = SYNC_END;
        emit_text(record, path);
        unlock();
    }
    return result;
}

static void check_mapping(int protection, int flags, int fd) {
    struct stat status;
    int is_shared = (flags & MAP_TYPE) == MAP_SHARED || (flags & MAP_TYPE) == MAP_SHARED_VALIDATE;
    if (ready && (protection & PROT_WRITE) && is_shared && fd >= 0 && is_file(fd, &status))
        fail("a shared writable mapping");
}

/* --- functions of the C library --- */

#define MODE_ARGUMENT(flags)                                      \
    mode_t mode = 0;                                              \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                        \
        va_list rest;                                             \
        va_start(rest, flags);                                    \
        mode = (mode_t)va_arg(rest, int);                         \
        va_end(rest);                                             \
    }

EXPORT int open(const char *path, int flags, ...) { MODE_ARGUMENT(flags) return open_at(AT_FDCWD, path, flags, mode); }
EXPORT int open64(const char *path, int flags, ...) { MODE_ARGUMENT(flags) return open_at(AT_FDCWD, path, flags, mode); }
EXPORT int openat(int at, const char *path, int flags, ...) { MODE_ARGUMENT(flags) return open_at(at, path, flags, mode); }
EXPORT int openat64(int at, const char *path, int flags, ...) { MODE_ARGUMENT(flags) return open_at(at, path, flags, mode); }
EXPORT int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
EXPORT int creat64(const char *path, mode_t mode) { return creat(path, mode); }

EXPORT ssize_t write(int fd, const void *bytes, size_t length) { return write_one(fd, bytes, length, -1); }
EXPORT ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return write_one(fd, bytes, length, at); }
EXPORT ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return write_one(fd, bytes, length, at); }
EXPORT ssize_t writev(int fd, const struct iovec *parts, int count) {
    return write_parts(SYS_writev, fd, parts, count, 0, 0);
}
EXPORT ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    return write_parts(SYS_pwritev, fd, parts, count, at, 0);
}
EXPORT ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) { return pwritev(fd, parts, count, at); }
EXPORT ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t at, int flags) {
    return write_parts(SYS_pwritev2, fd, parts, count, at, flags);
}
EXPORT ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags) {
    return pwritev2(fd, parts, count, at, flags);
}

EXPORT int ftruncate(int fd, off_t length) { return set_length(fd, length); }
EXPORT int ftruncate64(int fd, off64_t length) { return set_length(fd, length); }
EXPORT int truncate(const char *path, off_t length) { return set_length_of_name(path, length); }
EXPORT int truncate64(const char *path, off64_t length) { return set_length_of_name(path, length); }
EXPORT int fallocate(int fd, int mode, off_t at, off_t length) { return allocate(fd, mode, at, length); }
EXPORT int fallocate64(int fd, int mode, off64_t at, off64_t length) { return allocate(fd, mode, at, length); }
EXPORT int posix_fallocate(int fd, off_t at, off_t length) { return allocate(fd, 0, at, length) == 0 ? 0 : errno; }
EXPORT int posix_fallocate64(int fd, off64_t at, off64_t length) { return posix_fallocate(fd, at, length); }

EXPORT int rename(const char *from, const char *to) { return rename_name(AT_FDCWD, from, AT_FDCWD, to, 0); }
EXPORT int renameat(int a, const char *from, int b, const char *to) { return rename_name(a, from, b, to, 0); }
EXPORT int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    return rename_name(a, from, b, to, flags);
}
EXPORT int link(const char *from, const char *to) { return link_name(AT_FDCWD, from, AT_FDCWD, to, 0); }
EXPORT int linkat(int a, const char *from, int b, const char *to, int flags) { return link_name(a, from, b, to, flags); }
EXPORT int unlink(const char *path) { return remove_name(AT_FDCWD, path, 0); }
EXPORT int unlinkat(int at, const char *path, int flags) { return remove_name(at, path, flags); }
EXPORT int rmdir(const char *path) { return remove_name(AT_FDCWD, path, AT_REMOVEDIR); }
EXPORT int mkdir(const char *path, mode_t mode) { return make_directory(AT_FDCWD, path, mode); }
EXPORT int mkdirat(int at, const char *path, mode_t mode) { return make_directory(at, path, mode); }
EXPORT int symlinkat(const char *to, int at, const char *path) {
    refuse_name(at, path, "a symbolic link");
    return (int)K(SYS_symlinkat, to, at, path, 0, 0, 0);
}
EXPORT int symlink(const char *to, const char *path) { return symlinkat(to, AT_FDCWD, path); }
EXPORT int chmod(const char *path, mode_t mode) { return mode_of_name(AT_FDCWD, path, mode); }
EXPORT int fchmodat(int at, const char *path, mode_t mode, int flags) {
    if (flags) refuse_name(at, path, "fchmodat with flags");
    return mode_of_name(at, path, mode);
}
EXPORT int fchmod(int fd, mode_t mode) { return mode_of_file(fd, mode); }

EXPORT int fsync(int fd) { return flush_file(SYS_fsync, fd); }
EXPORT int fdatasync(int fd) { return flush_file(SYS_fdatasync, fd); }

EXPORT ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t length, unsigned flags) {
    return is_copy_target(out) ? -1 : K(SYS_copy_file_range, in, from, out, to, length, flags);
}
EXPORT ssize_t sendfile(int out, int in, off_t *from, size_t length) {
    return is_copy_target(out) ? -1 : K(SYS_sendfile, out, in, from, length, 0, 0);
}
EXPORT ssize_t sendfile64(int out, int in, off64_t *from, size_t length) { return sendfile(out, in, from, length); }
EXPORT ssize_t splice(int in, off64_t *from, int out, off64_t *to, size_t length, unsigned flags) {
    return is_copy_target(out) ? -1 : K(SYS_splice, in, from, out, to, length, flags);
}
EXPORT void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    check_mapping(protection, flags, fd);
    return (void *)K(SYS_mmap, at, length, protection, flags, fd, offset);
}
EXPORT void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
    return mmap(at, length, protection, flags, fd, offset);
}

/* --- system calls by number --- */

/* All system calls that can change a file. */
static const int CHANGING[] = {
    SYS_openat, SYS_openat2, SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_pwritev2, SYS_truncate,
    SYS_ftruncate, SYS_fallocate, SYS_renameat, SYS_renameat2, SYS_linkat, SYS_unlinkat, SYS_mkdirat, SYS_symlinkat,
    SYS_mknodat, SYS_fchmod, SYS_fchmodat, SYS_fsync, SYS_fdatasync, SYS_copy_file_range, SYS_sendfile, SYS_splice,
    SYS_io_uring_setup,
#ifdef __x86_64__
    SYS_open, SYS_creat, SYS_rename, SYS_link, SYS_unlink, SYS_rmdir, SYS_mkdir, SYS_symlink, SYS_mknod, SYS_chmod,
#endif
};
#define CHANGING_COUNT (sizeof CHANGING / sizeof *CHANGING)

static int fail_with(int code) {
    errno = code;
    return -1;
}

/* Executes a system call and records it. */
static long dispatch(long number, const long a[6]) {
#define TEXT(i) ((const char *)a[i])
#define PARTS(i) ((const struct iovec *)a[i])
    switch (number) {
    case SYS_openat: return open_at((int)a[0], TEXT(1), (int)a[2], (mode_t)a[3]);
    case SYS_write: return write_one((int)a[0], (const void *)a[1], (size_t)a[2], -1);
    case SYS_pwrite64: return write_one((int)a[0], (const void *)a[1], (size_t)a[2], a[3]);
    case SYS_writev: return write_parts(SYS_writev, (int)a[0], PARTS(1), (int)a[2], 0, 0);
    case SYS_pwritev: return write_parts(SYS_pwritev, (int)a[0], PARTS(1), (int)a[2], a[3], 0);
    case SYS_pwritev2: return write_parts(SYS_pwritev2, (int)a[0], PARTS(1), (int)a[2], a[3], (int)a[5]);
    case SYS_truncate: return set_length_of_name(TEXT(0), a[1]);
    case SYS_ftruncate: return set_length((int)a[0], a[1]);
    case SYS_fallocate: return allocate((int)a[0], (int)a[1], a[2], a[3]);
    case SYS_renameat: return rename_name((int)a[0], TEXT(1), (int)a[2], TEXT(3), 0);
    case SYS_renameat2: return rename_name((int)a[0], TEXT(1), (int)a[2], TEXT(3), (unsigned)a[4]);
    case SYS_linkat: return link_name((int)a[0], TEXT(1), (int)a[2], TEXT(3), (int)a[4]);
    case SYS_unlinkat: return remove_name((int)a[0], TEXT(1), (int)a[2]);
    case SYS_mkdirat: return make_directory((int)a[0], TEXT(1), (mode_t)a[2]);
    case SYS_symlinkat: return symlinkat(TEXT(0), (int)a[1], TEXT(2));
    case SYS_mknodat: refuse_name((int)a[0], TEXT(1), "mknod"); break;
    case SYS_fchmod: return mode_of_file((int)a[0], (mode_t)a[1]);
    case SYS_fchmodat: return mode_of_name((int)a[0], TEXT(1), (mode_t)a[2]);
    case SYS_fsync: return flush_file(SYS_fsync, (int)a[0]);
    case SYS_fdatasync: return flush_file(SYS_fdatasync, (int)a[0]);
    case SYS_copy_file_range: if (is_copy_target((int)a[2])) return -1; break;
    case SYS_sendfile: if (is_copy_target((int)a[0])) return -1; break;
    case SYS_splice: if (is_copy_target((int)a[2])) return -1; break;
    /* Refused: callers fall back to calls that are recorded. */
    case SYS_openat2: case SYS_io_uring_setup: return fail_with(ENOSYS);
#ifdef __x86_64__
    case SYS_open: return open_at(AT_FDCWD, TEXT(0), (int)a[1], (mode_t)a[2]);
    case SYS_creat: return creat(TEXT(0), (mode_t)a[1]);
    case SYS_rename: return rename_name(AT_FDCWD, TEXT(0), AT_FDCWD, TEXT(1), 0);
    case SYS_link: return link_name(AT_FDCWD, TEXT(0), AT_FDCWD, TEXT(1), 0);
    case SYS_unlink: return remove_name(AT_FDCWD, TEXT(0), 0);
    case SYS_rmdir: return remove_name(AT_FDCWD, TEXT(0), AT_REMOVEDIR);
    case SYS_mkdir: return make_directory(AT_FDCWD, TEXT(0), (mode_t)a[1]);
    case SYS_symlink: return symlinkat(TEXT(0), AT_FDCWD, TEXT(1));
    case SYS_mknod: refuse_name(AT_FDCWD, TEXT(0), "mknod"); break;
    case SYS_chmod: return mode_of_name(AT_FDCWD, TEXT(0), (mode_t)a[1]);
#endif
    default: break;
    }
    return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

EXPORT long syscall(long number, ...) {
    long a[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(rest, long);
    va_end(rest);
    return ready ? dispatch(number, a) : kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Handles a system call from outside the C library. */
static void on_direct_call(int signal, siginfo_t *info, void *context) {
    (void)signal;
    int before = errno;
#ifdef __x86_64__
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const long a[6] = {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]};
#else
    unsigned long long *r = ((ucontext_t *)context)->uc_mcontext.regs;
    const long a[6] = {r[0], r[1], r[2], r[3], r[4], r[5]};
#endif
    long result = dispatch(info->si_syscall, a);
    if (result == -1) result = -errno;
#ifdef __x86_64__
    r[REG_RAX] = result;
#else
    r[0] = (unsigned long long)result;
#endif
    errno = before;
}

struct range {
    uintptr_t start, end;
};

static int find_c_library(struct dl_phdr_info *info, size_t size, void *found) {
    (void)size;
    struct range *range = found;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr, inside = (uintptr_t)kernel_entry;
        if (header->p_type == PT_LOAD && (header->p_flags & PF_X) && inside >= start && inside < start + header->p_memsz) {
            *range = (struct range){start, start + header->p_memsz};
            return 1;
        }
    }
    return 0;
}

/* Traps system calls from outside the C library that change files; `on_direct_call` handles them. */
static void catch_direct_calls(void) {
    struct range library = {0};
    K(SYS_getpid, 0, 0, 0, 0, 0, 0);
    dl_iterate_phdr(find_c_library, &library);
    if (library.start == 0) fail("a program without a shared C library");
    struct sigaction action = {.sa_sigaction = on_direct_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (sigaction(SIGSYS, &action, NULL) != 0) fail("SIGSYS cannot be handled");
#ifdef __x86_64__
    const uint32_t architecture = AUDIT_ARCH_X86_64;
#else
    const uint32_t architecture = AUDIT_ARCH_AARCH64;
#endif
#define FIELD(name) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))
#define UPPER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4)
#define LOWER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer))
    struct sock_filter code[CHANGING_COUNT + 16];
    unsigned short n = 0;
    code[n++] = (struct sock_filter)FIELD(arch);
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 0, CHANGING_COUNT + 1);
    code[n++] = (struct sock_filter)FIELD(nr);
    for (size_t i = 0; i < CHANGING_COUNT; i++)
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CHANGING[i], CHANGING_COUNT - i, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    /* A library that crosses a 4 GiB boundary has two upper halves; every address with either counts as the library. */
    uint32_t first = (uint32_t)(library.start >> 32), last = (uint32_t)((library.end - 1) >> 32);
    code[n++] = (struct sock_filter)UPPER;
    if (first == last) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 0, 4);
        code[n++] = (struct sock_filter)LOWER;
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)library.start, 0, 2);
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)(library.end - 1), 1, 0);
    } else {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 1, 0);
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, last, 0, 1);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    struct sock_fprog program = {n, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        fail("a system without seccomp filters");
}

static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

__attribute__((constructor)) static void start(void) {
    struct stat status;
    const char *omit = setting("POWER_CUT_OMIT");
    snprintf(root, sizeof root, "%s", setting("POWER_CUT_ROOT"));
    snprintf(boot_id, sizeof boot_id, "%s", setting("POWER_CUT_BOOT_ID"));
    root_length = strlen(root);
    if (root_length == 0) return;
    if (stat(root, &status) != 0) fail("a root that is not there");
    device = status.st_dev;
    trace = (int)K(SYS_openat, AT_FDCWD, setting("POWER_CUT_TRACE"), O_WRONLY | O_APPEND | O_CLOEXEC, 0, 0, 0);
    if (trace < 0) fail("a trace that is not there");
    omit_files = strcmp(omit, "all") == 0 || strcmp(omit, "files") == 0;
    omit_directories = strcmp(omit, "all") == 0 || strcmp(omit, "directories") == 0;
    if (*omit && !omit_files && !omit_directories) fail("that value of POWER_CUT_OMIT");
    catch_direct_calls();
    ready = 1;
}
