#include "lib/io/own_address.h"

#include <sys/socket.h>
#include <unistd.h>

enum { PORT_ANY = 9 }; /* nothing is sent */

/* Talking to itself, a machine has the address it talks to. */
bool own_address(const struct ip_address *address)
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
    return known && ip_address_equal(&local.address, address);
}
