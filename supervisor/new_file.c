#include "supervisor/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/memory.h"

struct error *new_file_create(const char *path, int *out_fd, bool *out_exists)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    *out_exists = fd < 0 && errno == EEXIST;
    if (fd < 0)
        return error_errno(ERROR_LOCAL, errno, "%s", path);
    *out_fd = fd;
    return NULL;
}

struct error *new_file_write(int fd, struct span text)
{
    while (text.len > 0) {
        ssize_t wrote = write(fd, text.data, text.len);
        if (wrote < 0)
            return error_errno(ERROR_LOCAL, errno, "write");
        text = span_from(text, (size_t)wrote);
    }
    return fsync(fd) == 0 ? NULL : error_errno(ERROR_LOCAL, errno, "sync");
}

struct error *new_file_sync_folder(const char *path)
{
    char *copy = memory_copy_text(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    struct error *err = synced ? NULL : error_errno(ERROR_LOCAL, errno, "sync the folder");

    if (fd >= 0)
        close(fd);
    free(copy);
    return err;
}
