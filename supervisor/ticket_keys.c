#include "supervisor/ticket_keys.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/random.h"

bool ticket_keys_renew(struct ticket_keys *keys, int64_t now_ms)
{
    if (keys->count > 0 && now_ms < keys->due_ms)
        return false;
    memmove(keys->bytes + TLS_TICKET_KEY_SIZE, keys->bytes,
            sizeof(keys->bytes) - TLS_TICKET_KEY_SIZE);
    random_bytes(keys->bytes, TLS_TICKET_KEY_SIZE);
    if (keys->count < TICKET_KEYS_KEPT)
        keys->count++;
    keys->due_ms = now_ms + 12 * HOUR_MS;
    return true;
}

struct span ticket_keys_span(const struct ticket_keys *keys)
{
    return (struct span){ (const char *)keys->bytes, (size_t)keys->count * TLS_TICKET_KEY_SIZE };
}

void ticket_keys_forget(struct ticket_keys *keys)
{
    explicit_bzero(keys, sizeof(*keys));
}
