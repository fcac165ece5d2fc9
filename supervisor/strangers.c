#include "supervisor/strangers.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/memory.h"

enum { ROUTES_MAX = 64 * 1024, ROUTE_WORD = 40, ROUTE_UP_GATEWAY = 0x3 };

/* --- what is known of this host -------------------------------------------------------------- */

static void add_gateway(struct strangers_facts *facts, const struct ip_address *gateway)
{
    if (facts->gateway_count < GATEWAYS_MAX)
        facts->gateways[facts->gateway_count++] = *gateway;
}

/* "eth0 00000000 0101A8C0 0003 ...": destination and gateway as the machine has them in memory. */
static void take_ipv4_route(struct strangers_facts *facts, const char *line)
{
    struct ip_address gateway = { .family = ADDRESS_V4 };
    unsigned destination, address, flags, mask;

    if (sscanf(line, "%*15s %8x %8x %4x %*d %*d %*d %8x", &destination, &address, &flags, &mask) !=
            4 ||
        destination != 0 || mask != 0 || (flags & ROUTE_UP_GATEWAY) != ROUTE_UP_GATEWAY)
        return;
    memcpy(gateway.bytes, &address, sizeof(address));
    add_gateway(facts, &gateway);
}

static bool hex_read(const char *text, uint8_t bytes[16])
{
    unsigned byte;

    for (int i = 0; i < 16; i++) {
        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            return false;
        bytes[i] = (uint8_t)byte;
    }
    return true;
}

/* "0...0 00 0...0 00 fe80...01 metric ref use flags eth0". */
static void take_ipv6_route(struct strangers_facts *facts, const char *line)
{
    struct ip_address gateway = { .family = ADDRESS_V6 };
    char destination[ROUTE_WORD], address[ROUTE_WORD];
    unsigned bits, flags;

    if (sscanf(line, "%32s %2x %*32s %*2x %32s %*8x %*8x %*8x %8x", destination, &bits, address,
               &flags) != 4 ||
        bits != 0 || (flags & ROUTE_UP_GATEWAY) != ROUTE_UP_GATEWAY || strlen(address) != 32 ||
        !hex_read(address, gateway.bytes))
        return;
    add_gateway(facts, &gateway);
}

static void take_lines(struct strangers_facts *facts, struct span text,
                       void (*take)(struct strangers_facts *facts, const char *line))
{
    char room[256];
    struct span line;

    while (span_cut(&text, '\n', &line))
        if (span_to_string(line, room, sizeof(room)))
            take(facts, room);
}

void strangers_take_routes(struct strangers_facts *facts, struct span ipv4, struct span ipv6)
{
    take_lines(facts, ipv4, take_ipv4_route);
    take_lines(facts, ipv6, take_ipv6_route);
}

static struct span read_file(const char *path, char *room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t got = 0;

    while (fd >= 0 && (got = read(fd, room + len, ROUTES_MAX - len)) > 0)
        len += (size_t)got;
    if (fd >= 0)
        close(fd);
    return (struct span){ room, len };
}

/* Docker's mark, podman's, and systemd's for all that it knows of. */
static bool is_in_container(void)
{
    return access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0 ||
           access("/run/systemd/container", F_OK) == 0;
}

/* --- judging --------------------------------------------------------------------------------- */

struct judging {
    const struct settings *settings;
    const struct strangers_facts *facts;
    strangers_fn *visit;
    void *ctx;
    unsigned listener;
    const struct network *entry; /* of its relay-from */
};

static void say(const struct judging *j, bool is_fault, const struct ip_address *address,
                const char *what)
{
    char entry[NETWORK_TEXT_SIZE], text[NETWORK_TEXT_SIZE], sentence[4 * NETWORK_TEXT_SIZE + 200];

    network_format(j->entry, entry);
    ip_address_format(address, text);
    snprintf(sentence, sizeof(sentence), "relay-from: %s holds %s, %s", entry, text, what);
    j->visit(j->ctx, j->listener, is_fault, sentence);
}

static bool is_of_one_host(const struct network *network)
{
    return network->bits == (network->address.family == ADDRESS_V4 ? 32 : 128);
}

/* A proxy on loopback is one of our own: it speaks for clients where it is told to. */
static void judge_proxy(const struct judging *j, const struct network *proxy)
{
    const struct listener_settings *l = &j->settings->listeners[j->listener];

    if (ip_address_is_loopback(&proxy->address) ||
        network_list_contains(&l->proxy_from, &proxy->address))
        return;
    if (j->entry->bits >= proxy->bits && network_contains(proxy, &j->entry->address))
        say(j, true, &j->entry->address,
            "a proxy of another listener (proxy-from), which would make an open relay of it; take "
            "it out, or list it in proxy-from here, too");
    else if (network_contains(j->entry, &proxy->address))
        say(j, false, &proxy->address,
            "a proxy of another listener (proxy-from): clients that it sends here without the "
            "header could all relay");
}

static void judge_gateway(const struct judging *j, const struct ip_address *gateway)
{
    if (!network_contains(j->entry, gateway))
        return;
    if (j->facts->in_container)
        say(j, true, gateway,
            "the gateway of this container: clients of a published port bear its address, which "
            "would make an open relay of it; name the networks of your clients without it");
    else if (is_of_one_host(j->entry))
        say(j, false, gateway,
            "our default gateway: clients whose connections it forwards may bear its address");
}

static void judge_entry(const struct judging *j)
{
    for (unsigned i = 0; i < j->settings->listener_count; i++) {
        const struct network_list *proxies = &j->settings->listeners[i].proxy_from;
        for (unsigned n = 0; i != j->listener && n < proxies->count; n++)
            judge_proxy(j, &proxies->items[n]);
    }
    for (unsigned i = 0; i < j->facts->gateway_count; i++)
        judge_gateway(j, &j->facts->gateways[i]);
}

/* Nobody from outside reaches loopback, nor a Unix socket. */
static bool is_reachable(const struct listener_settings *l)
{
    for (unsigned i = 0; i < l->address_count; i++)
        if (!ip_address_is_loopback(&l->addresses[i].address))
            return true;
    return false;
}

void strangers_judge(const struct settings *settings, const struct strangers_facts *facts,
                     strangers_fn *visit, void *ctx)
{
    struct judging j = { settings, facts, visit, ctx, 0, NULL };

    for (; j.listener < settings->listener_count; j.listener++) {
        const struct listener_settings *l = &settings->listeners[j.listener];
        for (unsigned n = 0; is_reachable(l) && n < l->relay_from.count; n++) {
            j.entry = &l->relay_from.items[n];
            judge_entry(&j);
        }
    }
}

void strangers_visit(const struct settings *settings, strangers_fn *visit, void *ctx)
{
    struct strangers_facts facts = { .in_container = is_in_container() };
    char *ipv4 = memory_new(ROUTES_MAX);
    char *ipv6 = memory_new(ROUTES_MAX);

    strangers_take_routes(&facts, read_file("/proc/net/route", ipv4),
                          read_file("/proc/net/ipv6_route", ipv6));
    strangers_judge(settings, &facts, visit, ctx);
    free(ipv4);
    free(ipv6);
}
