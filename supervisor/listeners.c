#include "supervisor/listeners.h"

#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
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

struct error *listener_open(const struct endpoint *address, int have, int *out_fd)
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
