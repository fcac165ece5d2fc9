#include "sendmail/drop.h"

#include "smtpd/pickup/drop_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Everybody may read the file, for the relay is another user; but nobody can list the folder, and
 * nobody can guess the name.
 */
enum { DROP_MODE = 0644 };

static int write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.data, bytes.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        bytes = span_from(bytes, (size_t)written);
    }
    return 0;
}

static int write_head(int fd, const char *name, struct span commands, uint64_t size)
{
    struct buf head;
    int errnum = EFBIG;

    buf_init(&head, DROP_HEAD_MAX + 1);
    if (drop_head_write(name, commands, size, &head))
        errnum = write_all(fd, buf_span(&head));
    buf_clear(&head);
    return errnum;
}

static int write_message(int fd, const char *name, struct span commands, struct span content)
{
    int errnum = write_head(fd, name, commands, content.len);

    if (errnum == 0)
        errnum = write_all(fd, content);
    if (errnum == 0 && (fchmod(fd, DROP_MODE) != 0 || fsync(fd) != 0))
        errnum = errno;
    return errnum;
}

/*
 * The name first becomes one that the relay reads when all is on disk.  The folder cannot be opened
 * to be synced, so the file system as a whole is.
 */
static int finish(int folder, int fd, const char *unfinished, const char *name)
{
    if (renameat2(folder, unfinished, folder, name, RENAME_NOREPLACE) != 0)
        return errno;
    if (syncfs(fd) == 0)
        return 0;
    int errnum = errno;
    (void)unlinkat(folder, name, 0);
    return errnum;
}

static int drop_into(int folder, struct span commands, struct span content)
{
    char name[DROP_NAME_LEN + 1], unfinished[DROP_NAME_LEN + 1];
    int fd, errnum;

    drop_name_new(name);
    memcpy(unfinished, name, sizeof(name));
    unfinished[0] = 't';
    fd = openat(folder, unfinished, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    errnum = write_message(fd, name, commands, content);
    if (errnum == 0)
        errnum = finish(folder, fd, unfinished, name);
    if (errnum != 0)
        (void)unlinkat(folder, unfinished, 0);
    close(fd);
    return errnum;
}

struct error *drop(const char *folder, struct span commands, struct span content)
{
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int errnum = fd < 0 ? errno : drop_into(fd, commands, content);

    if (fd >= 0)
        close(fd);
    return errnum == 0 ? NULL : error_errno(ERROR_LOCAL, errnum, "drop folder %s", folder);
}
