#include "lib/io/own_address.h"

#include <sys/socket.h>
#include <unistd.h>

enum { PORT_ANY = 9, MULTICAST_V4 = 224 }; /* nothing is sent */

/* The address that we would have, talking to that one. */
static bool find_source(const struct ip_address *address, struct ip_address *out_source)
{
    struct endpoint remote = { .address = *address, .port = PORT_ANY };
    struct sockaddr_storage sa;
    struct sockaddr_storage local_sa;
    struct endpoint local;
    socklen_t size = endpoint_to_sockaddr(&remote, &sa);
    socklen_t local_size = sizeof(local_sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool known;

    if (fd < 0)
        return false;
    known = connect(fd, (struct sockaddr *)&sa, size) == 0 &&
            getsockname(fd, (struct sockaddr *)&local_sa, &local_size) == 0 &&
            endpoint_from_sockaddr((struct sockaddr *)&local_sa, &local);
    close(fd);
    if (known)
        *out_source = local.address;
    return known;
}

static bool can_bind(const struct ip_address *address)
{
    struct endpoint local = { .address = *address };
    struct sockaddr_storage sa;
    socklen_t size = endpoint_to_sockaddr(&local, &sa);
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool can;

    if (fd < 0)
        return false;
    can = bind(fd, (struct sockaddr *)&sa, size) == 0;
    close(fd);
    return can;
}

/*
 * IPv4 talks to a further address of a network from the first one it has there.  Where the kernel
 * lets everything be bound to (ip_nonlocal_bind) that says nothing.
 */
static bool is_further_address(const struct ip_address *address)
{
    static const struct ip_address nobodys = { ADDRESS_V4, { 240, 0, 0, 1 } }; /* RFC 1112 s.4 */

    return address->family == ADDRESS_V4 && address->bytes[0] < MULTICAST_V4 && can_bind(address) &&
           !can_bind(&nobodys);
}

/* Talking to itself, a machine has the address it talks to, or one that leads nowhere else. */
bool own_address(const struct ip_address *address)
{
    struct ip_address source;

    return find_source(address, &source) &&
           (ip_address_equal(&source, address) || ip_address_is_loopback(&source) ||
            is_further_address(address));
}
