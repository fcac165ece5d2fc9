#include "lib/io/local_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,     /* the kernel cuts it to net.core.somaxconn */
    CONNECT_WAIT_S = 5, /* while so many wait to be taken */
};

void local_socket_path(const struct settings *settings, char path[LOCAL_SOCKET_PATH_SIZE])
{
    snprintf(path, LOCAL_SOCKET_PATH_SIZE, "%s/submit", settings->run_dir);
}

/* A path, as the folder it is in and its name there: addresses of sockets are short. */
struct place {
    int folder;
    const char *name;
    struct sockaddr_un address;
};

static struct error *place_open(const char *path, struct place *out)
{
    char folder[LOCAL_SOCKET_PATH_SIZE];
    const char *slash = strrchr(path, '/');
    int written;

    snprintf(folder, sizeof(folder), "%.*s/", (int)(slash - path), path);
    out->name = slash + 1;
    out->address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    out->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (out->folder < 0)
        return error_errno(ERROR_LOCAL, errno, "%s", folder);
    written = snprintf(out->address.sun_path, sizeof(out->address.sun_path), "/proc/self/fd/%d/%s",
                       out->folder, out->name);
    if (written < (int)sizeof(out->address.sun_path))
        return NULL;
    close(out->folder);
    return error_new(ERROR_LOCAL, "the name of socket %s is too long", path);
}

/* Of connect(2), too; 0: without end. */
static bool limit_sending(int fd, int seconds)
{
    const struct timeval wait = { .tv_sec = seconds };

    return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) == 0;
}

/* Gives an errno, or 0. */
static int connect_to(const struct place *place, int type, int *out_fd)
{
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    int errnum;

    if (fd < 0)
        return errno;
    if (limit_sending(fd, CONNECT_WAIT_S) &&
        connect(fd, (const struct sockaddr *)&place->address, sizeof(place->address)) == 0 &&
        limit_sending(fd, 0)) {
        *out_fd = fd;
        return 0;
    }
    errnum = errno;
    close(fd);
    return errnum;
}

/* Removes a socket that nobody listens on any more; anything else stays. */
static struct error *remove_stale(const struct place *place, int type, const char *path)
{
    struct stat st;
    int fd = -1, errnum;

    if (fstatat(place->folder, place->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return NULL;
    if (!S_ISSOCK(st.st_mode))
        return error_new(ERROR_LOCAL, "%s is there and no socket", path);
    errnum = connect_to(place, type, &fd);
    if (fd >= 0)
        close(fd);
    if (errnum != ECONNREFUSED)
        return error_new(ERROR_LOCAL, "cannot listen on %s: another program serves it", path);
    unlinkat(place->folder, place->name, 0);
    return NULL;
}

static struct error *listen_there(const struct place *place, const char *path, int *out_fd)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0111);
    bool fine = fd >= 0 &&
                bind(fd, (const struct sockaddr *)&place->address, sizeof(place->address)) == 0 &&
                listen(fd, BACKLOG) == 0;
    struct error *err = NULL;

    if (!fine)
        err = error_errno(ERROR_LOCAL, errno, "cannot listen on %s", path);
    umask(mask);
    if (fine)
        *out_fd = fd;
    else if (fd >= 0)
        close(fd);
    return err;
}

static struct error *another(int have, const char *path, int *out_fd)
{
    *out_fd = fcntl(have, F_DUPFD_CLOEXEC, 0);
    return *out_fd < 0 ? error_errno(ERROR_LOCAL, errno, "cannot listen on %s", path) : NULL;
}

struct error *local_socket_open(const char *path, int have, int *out_fd)
{
    struct place place;
    struct error *err;

    if (have >= 0)
        return another(have, path, out_fd);
    err = place_open(path, &place);
    if (err)
        return err;
    err = remove_stale(&place, SOCK_STREAM, path);
    if (!err)
        err = listen_there(&place, path, out_fd);
    close(place.folder);
    return err;
}

/* --- datagrams */

static struct error *find_group(const char *group, gid_t *out_gid)
{
    const struct group *entry;

    *out_gid = (gid_t)-1; /* as it is */
    if (group[0] == '\0')
        return NULL;
    entry = getgrnam(group);
    if (!entry)
        return error_new(ERROR_LOCAL, "there is no group %s", group);
    *out_gid = entry->gr_gid;
    return NULL;
}

/*
 * Its mode is that of its making, and no link is followed: whoever may write into the folder must
 * not have other files' modes and groups changed.
 */
static struct error *bind_there(const struct place *place, gid_t gid, const char *path, int *out_fd)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0117);
    bool fine =
        fd >= 0 && bind(fd, (const struct sockaddr *)&place->address, sizeof(place->address)) == 0;
    struct error *err = NULL;

    if (!fine)
        err = error_errno(ERROR_LOCAL, errno, "cannot listen on %s", path);
    umask(mask);
    if (fine && fchownat(place->folder, place->name, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) != 0) {
        err = error_errno(ERROR_LOCAL, errno, "cannot give %s to its group", path);
        unlinkat(place->folder, place->name, 0);
    }
    if (!err)
        *out_fd = fd;
    else if (fd >= 0)
        close(fd);
    return err;
}

struct error *local_socket_open_datagrams(const char *path, const char *group, int have,
                                          int *out_fd)
{
    struct place place;
    gid_t gid;
    struct error *err;

    if (have >= 0)
        return another(have, path, out_fd);
    err = find_group(group, &gid);
    if (!err)
        err = place_open(path, &place);
    if (err)
        return err;
    err = remove_stale(&place, SOCK_DGRAM, path);
    if (!err)
        err = bind_there(&place, gid, path, out_fd);
    close(place.folder);
    return err;
}

struct error *local_socket_connect(const char *path, int *out_fd)
{
    struct place place;
    struct error *err = place_open(path, &place);
    int errnum;

    if (err)
        return err;
    errnum = connect_to(&place, SOCK_STREAM, out_fd);
    close(place.folder);
    return errnum == 0 ? NULL : error_errno(ERROR_TRANSIENT, errnum, "%s", path);
}
