#include "lib/io/own_listener.h"

#include "lib/io/own_address.h"

#include <string.h>

static bool is_unspecified(const struct ip_address *address)
{
    static const uint8_t zeros[sizeof(address->bytes)];

    return memcmp(address->bytes, zeros, sizeof(zeros)) == 0;
}

/* Who connects to an unspecified address is led to this machine's loopback address. */
static struct ip_address reached_by(const struct ip_address *to)
{
    static const struct ip_address loopback_v4 = { ADDRESS_V4, { 127, 0, 0, 1 } };
    static const struct ip_address loopback_v6 = { ADDRESS_V6, { [15] = 1 } };

    if (!is_unspecified(to))
        return *to;
    return to->family == ADDRESS_V4 ? loopback_v4 : loopback_v6;
}

static bool takes(const struct endpoint *listener, const struct ip_address *address, uint16_t port)
{
    if (listener->port != port || listener->address.family != address->family)
        return false;
    return is_unspecified(&listener->address) ? own_address(address)
                                              : ip_address_equal(&listener->address, address);
}

bool own_listener(const struct settings *settings, const struct endpoint *to)
{
    struct ip_address address = reached_by(&to->address);

    for (unsigned i = 0; i < settings->listener_count; i++)
        for (unsigned n = 0; n < settings->listeners[i].address_count; n++)
            if (takes(&settings->listeners[i].addresses[n], &address, to->port))
                return true;
    return false;
}
