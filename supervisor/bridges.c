#include "supervisor/bridges.h"

#include <ifaddrs.h>
#include <string.h>

bool bridge_is_name(const char *interface)
{
    static const char *const starts[] = { "docker", "br-",   "podman",  "cni",    "virbr",
                                          "lxcbr",  "lxdbr", "incusbr", "cilium", "flannel" };

    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        if (strncmp(interface, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

static void visit_listeners(const struct settings *settings, const struct ifaddrs *interface,
                            bridges_fn *visit, void *ctx)
{
    struct endpoint own;

    if (!interface->ifa_addr || !endpoint_from_sockaddr(interface->ifa_addr, &own))
        return;
    for (unsigned i = 0; i < settings->listener_count; i++)
        if (network_list_contains(&settings->listeners[i].relay_from, &own.address))
            visit(ctx, i, interface->ifa_name, &own.address);
}

void bridges_visit(const struct settings *settings, bridges_fn *visit, void *ctx)
{
    struct ifaddrs *all;

    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *at = all; at; at = at->ifa_next)
        if (bridge_is_name(at->ifa_name))
            visit_listeners(settings, at, visit, ctx);
    freeifaddrs(all);
}
