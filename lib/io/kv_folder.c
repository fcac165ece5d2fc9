#include "lib/io/kv_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"

enum { PATH_SIZE = 1024, LOCK_RETRY_US = 20 * 1000 };

/* linux/magic.h lacks some of these (statfs(2) lists them). */
static const struct {
    uint32_t magic;
    const char *name;
    bool refused;
} file_systems[] = {
    { NFS_SUPER_MAGIC, "NFS", true },   { SMB_SUPER_MAGIC, "SMB", true },
    { 0xff534d42, "CIFS", true },       { 0xfe534d42, "SMB2", true },
    { AFS_SUPER_MAGIC, "AFS", true },   { 0x6b414653, "AFS", true },
    { CODA_SUPER_MAGIC, "Coda", true }, { NCP_SUPER_MAGIC, "NCP", true },
    { V9FS_MAGIC, "9p", true },         { 0x00c36400, "Ceph", true },
    { 0x0bd00bd0, "Lustre", true },     { 0x01161970, "GFS2", true },
    { 0x7461636f, "OCFS2", true },      { TMPFS_MAGIC, "tmpfs", false },
    { RAMFS_MAGIC, "ramfs", false },
};

static bool path_in(const char *folder, const char *name, char path[PATH_SIZE])
{
    int len = snprintf(path, PATH_SIZE, "%s/%s", folder, name);
    return len > 0 && len < PATH_SIZE;
}

const char *kv_folder_name(const char *folder, char room[KV_FOLDER_NAME_SIZE])
{
    if (strcmp(folder, ".") == 0 && getcwd(room, KV_FOLDER_NAME_SIZE))
        return room;
    return folder;
}

static void warn_of_volatile(const char *folder, const char *name)
{
    char room[KV_FOLDER_NAME_SIZE];
    struct log_line line;
    log_begin(&line, LOG_WARNING, "store-volatile");
    log_string(&line, "folder", kv_folder_name(folder, room));
    log_string(&line, "file-system", name);
    log_string(&line, "advice", "what is stored here is lost when the machine stops");
    log_end(&line);
}

struct error *kv_folder_check(const char *folder)
{
    struct statfs fs;
    if (statfs(folder, &fs))
        return error_errno(ERROR_LOCAL, errno, "the folder");
    for (size_t i = 0; i < sizeof(file_systems) / sizeof(file_systems[0]); i++) {
        if ((uint32_t)fs.f_type != file_systems[i].magic)
            continue;
        if (file_systems[i].refused)
            return error_new(ERROR_LOCAL,
                             "the folder is on a network file system (%s): it must be on a local "
                             "disk",
                             file_systems[i].name);
        warn_of_volatile(folder, file_systems[i].name);
    }
    return NULL;
}

/* A lock of the open file description: unlike a POSIX lock, no other close() lets go of it. */
static bool try_lock(int fd)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

struct error *kv_folder_lock(const char *folder, int64_t wait_ms, int *out_lock_fd)
{
    char path[PATH_SIZE];
    if (!path_in(folder, "lock", path))
        return error_new(ERROR_LOCAL, "%s: the path is too long", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(ERROR_LOCAL, errno, "open %s", path);
    int64_t until = clock_monotonic_ms() + wait_ms;
    while (!try_lock(fd)) {
        int why = errno;
        if ((why != EAGAIN && why != EACCES && why != EINTR) || clock_monotonic_ms() >= until) {
            close(fd);
            return error_errno(ERROR_LOCAL, why, "lock %s (is another waxseal using it?)", path);
        }
        usleep(LOCK_RETRY_US);
    }
    *out_lock_fd = fd;
    return NULL;
}

struct error *kv_folder_mark_made(int lock_fd)
{
    if (kv_folder_was_made(lock_fd))
        return NULL;
    if (pwrite(lock_fd, "made\n", 5, 0) != 5 || fsync(lock_fd))
        return error_errno(ERROR_LOCAL, errno, "write the lock file");
    return NULL;
}

bool kv_folder_was_made(int lock_fd)
{
    struct stat st;
    return fstat(lock_fd, &st) == 0 && st.st_size > 0;
}

bool kv_folder_has_no_file(const char *folder, const char *name)
{
    char path[PATH_SIZE];
    struct stat st;
    return path_in(folder, name, path) && stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

bool kv_folder_file_is_empty(const char *folder, const char *name)
{
    char path[PATH_SIZE];
    struct stat st;
    return path_in(folder, name, path) && stat(path, &st) == 0 && st.st_size == 0;
}

struct error *kv_folder_allocate(const char *folder, const char *name, int64_t bytes)
{
    char path[PATH_SIZE];
    if (!path_in(folder, name, path))
        return error_new(ERROR_LOCAL, "%s: the path is too long", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(ERROR_LOCAL, errno, "open %s", path);
    struct error *err = NULL;
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, bytes) && errno != EOPNOTSUPP)
        err = error_errno(ERROR_LOCAL, errno, "allocate %s", path);
    close(fd);
    return err;
}

static struct error *sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(ERROR_LOCAL, errno, "open %s", path);
    struct error *err = NULL;
    if (fsync(fd))
        err = error_errno(ERROR_LOCAL, errno, "sync %s", path);
    close(fd);
    return err;
}

struct error *kv_folder_sync(const char *folder)
{
    char parent[PATH_SIZE];
    struct error *err = sync_folder(folder);
    if (err)
        return err;
    if (!path_in(folder, "..", parent))
        return error_new(ERROR_LOCAL, "%s: the path is too long", folder);
    return sync_folder(parent);
}

uint64_t kv_folder_free(int fd)
{
    struct statvfs fs;
    return fstatvfs(fd, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
}

bool kv_folder_is_full(int fd)
{
    struct statvfs fs;
    return fstatvfs(fd, &fs) == 0 && fs.f_bavail * fs.f_frsize < BATCH_BYTES_MAX;
}
