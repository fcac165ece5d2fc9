#include "smtpd/pickup/turns.h"

#include "lib/base/limits.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"

#include <stdlib.h>

struct share {
    unsigned files;
    uint64_t octets;
};

void turns_init(struct turns *turns)
{
    *turns = (struct turns){ .shares = map_new() };
}

void turns_clear(struct turns *turns)
{
    struct share *share;
    size_t cursor = 0;

    while ((share = map_next(turns->shares, &cursor, NULL)) != NULL)
        free(share);
    map_free(&turns->shares);
}

void turns_begin(struct turns *turns)
{
    turns_clear(turns);
    turns_init(turns);
}

bool turns_take(struct turns *turns, uint32_t uid, uint64_t octets)
{
    struct share *share = map_get_number(turns->shares, uid);

    if (!share) {
        share = memory_new(sizeof(*share));
        map_put_number(turns->shares, uid, share);
    }
    if (share->files >= PICKUP_USER_FILES || share->octets >= PICKUP_USER_BYTES) {
        turns->somebody_waits = true;
        return false;
    }
    share->files++;
    share->octets += octets;
    return true;
}
