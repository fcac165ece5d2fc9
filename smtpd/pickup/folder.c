#include "smtpd/pickup/folder.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char aside_name[] = "aside";

struct folder {
    DIR *entries;
    int fd; /* of `entries` */
    int aside;
};

static struct error *open_aside(struct folder *folder)
{
    if (mkdirat(folder->fd, aside_name, 0700) != 0 && errno != EEXIST)
        return error_errno(ERROR_LOCAL, errno, "drop/%s", aside_name);
    folder->aside = openat(folder->fd, aside_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder->aside < 0)
        return error_errno(ERROR_LOCAL, errno, "drop/%s", aside_name);
    struct stat st;
    if (fstat(folder->aside, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return error_new(ERROR_LOCAL, "drop/%s is not ours alone", aside_name);
    return NULL;
}

struct error *folder_open(struct folder **out_folder)
{
    struct folder *folder = memory_new(sizeof(*folder));
    struct error *err;

    folder->aside = -1;
    folder->entries = opendir(".");
    if (!folder->entries) {
        err = error_errno(ERROR_LOCAL, errno, "drop folder");
    } else {
        folder->fd = dirfd(folder->entries);
        err = open_aside(folder);
    }
    if (err)
        folder_close(&folder);
    else
        *out_folder = folder;
    return err;
}

void folder_close(struct folder **folder)
{
    struct folder *f = *folder;

    if (!f)
        return;
    if (f->entries)
        closedir(f->entries);
    if (f->aside >= 0)
        close(f->aside);
    free(f);
    *folder = NULL;
}

static bool is_own(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, aside_name) == 0;
}

const char *folder_next(struct folder *folder)
{
    const struct dirent *entry;

    do
        entry = readdir(folder->entries);
    while (entry && is_own(entry->d_name));
    if (entry)
        return entry->d_name;
    rewinddir(folder->entries);
    return NULL;
}

/* A second name could belong to a file that somebody else was to have kept for himself. */
static const char *judge(const struct stat *st, uint64_t size_max)
{
    if (!S_ISREG(st->st_mode))
        return "not a regular file";
    if (st->st_nlink != 1)
        return "more than one name";
    return (uint64_t)st->st_size > size_max ? "too large" : NULL;
}

const char *folder_open_file(struct folder *folder, const char *name, uint64_t size_max,
                             struct folder_file *out)
{
    const char *wrong;
    struct stat st;

    *out = (struct folder_file){ .fd = -1, .uid = UINT32_MAX };
    if (fstatat(folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? "" : "cannot be looked at";
    out->uid = st.st_uid;
    wrong = judge(&st, size_max);
    if (wrong)
        return wrong;
    /* it may be something else by now: neither followed nor waited for */
    out->fd = openat(folder->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (out->fd < 0)
        return errno == ENOENT ? "" : "cannot be read";
    wrong = fstat(out->fd, &st) == 0 ? judge(&st, size_max) : "cannot be looked at";
    out->uid = st.st_uid;
    out->size = (uint64_t)st.st_size;
    if (wrong) {
        close(out->fd);
        out->fd = -1;
    }
    return wrong;
}

bool folder_is_abandoned(struct folder *folder, const char *name, int64_t now_utc_ms,
                         int64_t patience_ms)
{
    struct stat st;

    return fstatat(folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           now_utc_ms - (int64_t)st.st_mtim.tv_sec * SECOND_MS > patience_ms;
}

bool folder_remove(struct folder *folder, const char *name)
{
    return unlinkat(folder->fd, name, 0) == 0;
}

bool folder_set_aside(struct folder *folder, const char *name, char out_name[DROP_NAME_LEN + 1])
{
    drop_name_new(out_name);
    return renameat2(folder->fd, name, folder->aside, out_name, RENAME_NOREPLACE) == 0;
}
