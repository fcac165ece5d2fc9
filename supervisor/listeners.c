#include "supervisor/listeners.h"

#include "lib/base/log.h"
#include "lib/io/local_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096 }; /* the kernel cuts it to net.core.somaxconn */

static bool is_absent_ipv6_loopback(const struct endpoint *address, int errnum)
{
    return address->address.family == ADDRESS_V6 && ip_address_is_loopback(&address->address) &&
           (errnum == EADDRNOTAVAIL || errnum == EAFNOSUPPORT);
}

static int set_on(int fd, int level, int option)
{
    const int on = 1;

    return setsockopt(fd, level, option, &on, sizeof(on));
}

/* --- one ------------------------------------------------------------------------------------- */

/* Gives a listening socket, or -1 and errno. */
static int bind_new(const struct endpoint *address)
{
    struct sockaddr_storage sa;
    socklen_t size = endpoint_to_sockaddr(address, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool fine;

    if (fd < 0)
        return -1;
    fine = set_on(fd, SOL_SOCKET, SO_REUSEADDR) == 0 &&
           (sa.ss_family != AF_INET6 || set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0) &&
           bind(fd, (struct sockaddr *)&sa, size) == 0 && listen(fd, BACKLOG) == 0;
    if (!fine) {
        int errnum = errno;
        close(fd);
        errno = errnum;
        return -1;
    }
    return fd;
}

static const char *advice_for(int errnum)
{
    switch (errnum) {
    case EADDRINUSE:
        return " (another program serves it; `ss -ltnp` says which)";
    case EACCES:
        return " (ports below 1024 need root or CAP_NET_BIND_SERVICE)";
    case EADDRNOTAVAIL:
        return " (the address is not on this machine)";
    default:
        return "";
    }
}

/* Another descriptor of `have`, or a new socket when that is -1. */
static struct error *open_at(const struct endpoint *address, int have, int *out_fd)
{
    char text[NETWORK_TEXT_SIZE];
    struct log_line line;
    int errnum;

    *out_fd = have >= 0 ? fcntl(have, F_DUPFD_CLOEXEC, 0) : bind_new(address);
    if (*out_fd >= 0)
        return NULL;
    errnum = errno;
    endpoint_format(address, text);
    if (!is_absent_ipv6_loopback(address, errnum))
        return error_errno(ERROR_LOCAL, errnum, "cannot listen on %s%s", text, advice_for(errnum));
    log_begin(&line, LOG_WARNING, "listener-skipped");
    log_string(&line, "address", text);
    log_string(&line, "reason", "no IPv6 on this machine");
    log_end(&line);
    return NULL;
}

/* --- all of them ----------------------------------------------------------------------------- */

void listeners_init(struct listeners *listeners, const struct settings *settings)
{
    listeners->settings = settings;
    memset(listeners->fds, 0xff, sizeof(listeners->fds));
}

void listeners_close(struct listeners *listeners)
{
    for (unsigned i = 0; i < SETTINGS_SOCKETS_MAX; i++) {
        if (listeners->fds[i] >= 0)
            close(listeners->fds[i]);
        listeners->fds[i] = -1;
    }
}

static int find_in(const struct listeners *old, unsigned listener, const struct endpoint *address)
{
    const struct listener_settings *l = &old->settings->listeners[listener];

    for (unsigned n = 0; n < l->address_count; n++)
        if (l->addresses[n].port == address->port &&
            ip_address_equal(&l->addresses[n].address, &address->address))
            return old->fds[listener * SETTINGS_ADDRESSES_MAX + n];
    return -1;
}

static int find_at(const struct listeners *old, const struct endpoint *address)
{
    int fd = -1;

    for (unsigned i = 0; old && fd < 0 && i < old->settings->listener_count; i++)
        fd = find_in(old, i, address);
    return fd;
}

static struct error *open_one(struct listeners *listeners, unsigned listener,
                              const struct listeners *old, unsigned *open)
{
    const struct listener_settings *l = &listeners->settings->listeners[listener];
    struct error *err = NULL;

    for (unsigned n = 0; n < l->address_count && !err; n++) {
        int *fd = &listeners->fds[listener * SETTINGS_ADDRESSES_MAX + n];
        err = open_at(&l->addresses[n], find_at(old, &l->addresses[n]), fd);
        *open += *fd >= 0;
    }
    *open += l->unix_path[0] != '\0'; /* or an error, later */
    return err;
}

/* --- for other mail systems ------------------------------------------------------------------ */

/* The one that is open already, where `old` has it under the same setting. */
static int find_socketmap(const struct listeners *old, const struct settings *settings)
{
    bool same = old && strcmp(old->settings->socketmap, settings->socketmap) == 0;

    return same ? old->fds[SETTINGS_LISTENER_SOCKETMAP] : -1;
}

static bool is_default_socketmap(const struct settings *settings)
{
    struct settings *defaults = settings_new();
    bool same;

    settings_defaults(defaults);
    same = strcmp(settings->socketmap, defaults->socketmap) == 0;
    settings_free(&defaults);
    return same;
}

static void log_skipped(const char *address, struct error **taken)
{
    struct log_line line;

    log_begin(&line, LOG_WARNING, "listener-skipped");
    log_string(&line, "address", address);
    log_string(&line, "reason", error_text(*taken));
    log_end(&line);
    error_free(taken);
}

static struct error *open_socketmap(struct listeners *listeners, const struct listeners *old)
{
    const struct settings *settings = listeners->settings;
    int *fd = &listeners->fds[SETTINGS_LISTENER_SOCKETMAP];
    struct endpoint address;
    struct error *err;

    if (!endpoint_parse(span_of(settings->socketmap), 0, &address))
        return NULL; /* none, or a Unix socket */
    err = open_at(&address, find_socketmap(old, settings), fd);
    if (err && is_default_socketmap(settings))
        log_skipped(settings->socketmap, &err);
    return err;
}

struct error *listeners_open(struct listeners *listeners, const struct listeners *old)
{
    struct error *err = NULL;
    unsigned open = 0;

    for (unsigned i = 0; i < listeners->settings->listener_count && !err; i++)
        err = open_one(listeners, i, old, &open);
    if (!err && open == 0)
        err = error_new(ERROR_LOCAL, "none of the listeners' addresses is on this machine");
    if (!err)
        err = open_socketmap(listeners, old);
    return err;
}

/* --- Unix sockets ---------------------------------------------------------------------------- */

static int find_path(const struct listeners *old, const char *path)
{
    for (unsigned i = 0; old && i < old->settings->listener_count; i++)
        if (strcmp(old->settings->listeners[i].unix_path, path) == 0)
            return old->fds[SETTINGS_LISTENER_UNIX + i];
    return -1;
}

static struct error *open_local(struct listeners *listeners, const struct listeners *old)
{
    char path[LOCAL_SOCKET_PATH_SIZE];

    if (listeners->settings->local_submission == LOCAL_SUBMISSION_OFF)
        return NULL;
    local_socket_path(listeners->settings, path);
    return local_socket_open(path, old ? old->fds[SETTINGS_LISTENER_LOCAL] : -1,
                             &listeners->fds[SETTINGS_LISTENER_LOCAL]);
}

static struct error *open_unix_socketmap(struct listeners *listeners, const struct listeners *old)
{
    const struct settings *settings = listeners->settings;

    if (!span_starts_with(span_of(settings->socketmap), SPAN(SETTINGS_UNIX_FORM)))
        return NULL;
    return local_socket_open(settings->socketmap + sizeof(SETTINGS_UNIX_FORM) - 1,
                             find_socketmap(old, settings),
                             &listeners->fds[SETTINGS_LISTENER_SOCKETMAP]);
}

/* Another group is found out about when the socket is made anew: at the next start. */
static struct error *open_tlsrpt(struct listeners *listeners, const struct listeners *old)
{
    const struct settings *settings = listeners->settings;
    bool same = old && strcmp(old->settings->tlsrpt_socket, settings->tlsrpt_socket) == 0;

    if (settings->tlsrpt_socket[0] == '\0')
        return NULL;
    return local_socket_open_datagrams(settings->tlsrpt_socket, settings->tlsrpt_socket_group,
                                       same ? old->fds[SETTINGS_LISTENER_TLSRPT] : -1,
                                       &listeners->fds[SETTINGS_LISTENER_TLSRPT]);
}

struct error *listeners_open_unix(struct listeners *listeners, const struct listeners *old)
{
    struct error *err = open_local(listeners, old);

    for (unsigned i = 0; i < listeners->settings->listener_count && !err; i++) {
        const char *path = listeners->settings->listeners[i].unix_path;
        if (path[0] != '\0')
            err = local_socket_open(path, find_path(old, path),
                                    &listeners->fds[SETTINGS_LISTENER_UNIX + i]);
    }
    if (!err)
        err = open_unix_socketmap(listeners, old);
    if (!err)
        err = open_tlsrpt(listeners, old);
    return err;
}
