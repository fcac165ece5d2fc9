#include "lib/base/random.h"

#include "lib/base/error.h"

#include <errno.h>
#include <sys/random.h>

void random_bytes(void *room, size_t len)
{
    char *next = room;

    while (len > 0) {
        ssize_t got = getrandom(next, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        ensure(got > 0);
        next += got;
        len -= (size_t)got;
    }
}

uint64_t random_below(uint64_t bound)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound; /* above it the low numbers come too often */
    uint64_t value;

    do
        random_bytes(&value, sizeof(value));
    while (value >= limit);
    return value % bound;
}
