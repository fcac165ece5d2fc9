#include "supervisor/readiness.h"

#include "lib/base/clock.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* The address in $NOTIFY_SOCKET: a path, or with "@" in front a name of the abstract space. */
static socklen_t notify_address(const char *name, struct sockaddr_un *out)
{
    size_t len = strlen(name);

    if (len < 2 || len >= sizeof(out->sun_path) || (name[0] != '/' && name[0] != '@'))
        return 0;
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(out->sun_path, name, len);
    if (name[0] == '@')
        out->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

void readiness_say(const char *state)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t size = name ? notify_address(name, &address) : 0;
    const struct timeval patience = { .tv_sec = 1 };
    char text[128];
    int fd;

    if (size == 0)
        return;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* Type=notify-reload wants the time beside RELOADING=1; others pass over it */
    int len = snprintf(text, sizeof(text), "%s\nMONOTONIC_USEC=%" PRId64, state,
                       clock_monotonic_ms() * 1000);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    sendto(fd, text, (size_t)len, MSG_NOSIGNAL, (struct sockaddr *)&address, size);
    close(fd);
}
