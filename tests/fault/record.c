/*
 * record - preloaded into the relay: writes down every change the queue role makes to its database
 * file, in the order in which the calls returned, with the time.  powercut.py plays it back.
 * A record: u64 time (monotonic ns), u32 kind, u32 file, u64 offset, u64 length, bytes.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { KIND_WRITE = 1, KIND_SYNC = 2, KIND_TRUNCATE = 3, KIND_SYNCED_WRITE = 4, KIND_ALLOCATE = 5 };

struct entry {
    uint64_t at_ns;
    uint32_t kind;
    uint32_t pid;
    uint64_t offset;
    uint64_t length;
};

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static int log_fd(void)
{
    static int fd = -2;

    if (fd == -2) {
        const char *path = getenv("RECORD_LOG");
        fd = path ? REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    }
    return fd;
}

enum { FDS_MAX = 1024 };
static bool recorded_fds[FDS_MAX];

/* Only the queue's data file counts: LMDB opens it by a relative name, in the queue's own folder. */
static void note_open(int fd, const char *path)
{
    char folder[4096];
    static const char name[] = "data.mdb";
    static const char last[] = "/queue";
    size_t len = strlen(path);

    if (fd < 0 || fd >= FDS_MAX || len < strlen(name) || strcmp(path + len - strlen(name), name) != 0 ||
        !getcwd(folder, sizeof(folder)))
        return;
    len = strlen(folder);
    recorded_fds[fd] = len > strlen(last) && strcmp(folder + len - strlen(last), last) == 0;
}

static bool is_recorded(int fd)
{
    return fd >= 0 && fd < FDS_MAX && recorded_fds[fd] && log_fd() >= 0;
}

static void record(enum kind kind, uint64_t offset, const struct iovec *io, int count, uint64_t length)
{
    struct timespec now;
    struct iovec all[1 + IOV_MAX];
    struct entry entry = { .kind = kind, .pid = (uint32_t)getpid(), .offset = offset, .length = length };

    clock_gettime(CLOCK_MONOTONIC, &now);
    entry.at_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    all[0] = (struct iovec){ &entry, sizeof(entry) };
    if (count > 0)
        memcpy(all + 1, io, (size_t)count * sizeof(*io));
    if (writev(log_fd(), all, count + 1) < 0)
        abort();
}

int open(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    int fd = REAL(open)(path, flags, (flags & O_CREAT) ? va_arg(args, mode_t) : 0);
    va_end(args);
    note_open(fd, path);
    return fd;
}

int open64(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    int fd = REAL(open)(path, flags, (flags & O_CREAT) ? va_arg(args, mode_t) : 0);
    va_end(args);
    note_open(fd, path);
    return fd;
}

int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        recorded_fds[fd] = false;
    return REAL(close)(fd);
}

static int is_dsync(int fd)
{
    return (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
}

static ssize_t recorded(int fd, ssize_t put, off_t offset, const struct iovec *io, int count)
{
    if (put > 0)
        record(is_dsync(fd) ? KIND_SYNCED_WRITE : KIND_WRITE, (uint64_t)offset, io, count, (uint64_t)put);
    return put;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
    struct iovec io = { (void *)(uintptr_t)bytes, len };

    if (!is_recorded(fd))
        return REAL(pwrite64)(fd, bytes, len, offset);
    pthread_mutex_lock(&one_at_a_time);
    ssize_t put = recorded(fd, REAL(pwrite64)(fd, bytes, len, offset), offset, &io, 1);
    pthread_mutex_unlock(&one_at_a_time);
    return put;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    return pwrite64(fd, bytes, len, offset);
}

/* glibc names both, one for files of any size. */
ssize_t pwritev64(int fd, const struct iovec *io, int count, off64_t offset)
{
    if (!is_recorded(fd))
        return REAL(pwritev64)(fd, io, count, offset);
    pthread_mutex_lock(&one_at_a_time);
    ssize_t put = recorded(fd, REAL(pwritev64)(fd, io, count, offset), offset, io, count);
    pthread_mutex_unlock(&one_at_a_time);
    return put;
}

ssize_t pwritev(int fd, const struct iovec *io, int count, off_t offset)
{
    return pwritev64(fd, io, count, offset);
}

ssize_t writev(int fd, const struct iovec *io, int count)
{
    if (!is_recorded(fd))
        return REAL(writev)(fd, io, count);
    pthread_mutex_lock(&one_at_a_time);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t put = recorded(fd, REAL(writev)(fd, io, count), offset, io, count);
    pthread_mutex_unlock(&one_at_a_time);
    return put;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    struct iovec io = { (void *)(uintptr_t)bytes, len };

    if (!is_recorded(fd))
        return REAL(write)(fd, bytes, len);
    return writev(fd, &io, 1);
}

static int recorded_sync(int fd, int (*sync)(int))
{
    if (!is_recorded(fd))
        return sync(fd);
    pthread_mutex_lock(&one_at_a_time);
    int result = sync(fd);
    if (result == 0)
        record(KIND_SYNC, 0, NULL, 0, 0);
    pthread_mutex_unlock(&one_at_a_time);
    return result;
}

int fdatasync(int fd)
{
    return recorded_sync(fd, REAL(fdatasync));
}

int fsync(int fd)
{
    return recorded_sync(fd, REAL(fsync));
}

int ftruncate64(int fd, off64_t length)
{
    int result = REAL(ftruncate64)(fd, length);

    if (result == 0 && is_recorded(fd))
        record(KIND_TRUNCATE, (uint64_t)length, NULL, 0, 0);
    return result;
}

int ftruncate(int fd, off_t length)
{
    return ftruncate64(fd, length);
}

int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
    int result = REAL(posix_fallocate64)(fd, offset, length);

    if (result == 0 && is_recorded(fd))
        record(KIND_ALLOCATE, (uint64_t)(offset + length), NULL, 0, 0);
    return result;
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
    return posix_fallocate64(fd, offset, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
    int result = REAL(fallocate64)(fd, mode, offset, length);

    if (result == 0 && is_recorded(fd))
        record(KIND_ALLOCATE, (uint64_t)(offset + length), NULL, 0, 0);
    return result;
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    return fallocate64(fd, mode, offset, length);
}
