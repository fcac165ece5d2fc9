#include "smtpd/entrance.h"

#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "smtpd/replies.h"
#include "smtpd/shares.h"

/* As many clients as the settings allow and the descriptors suffice for. */
static unsigned find_connections_max(const struct settings *settings)
{
    struct rlimit files;
    unsigned wanted = settings->max_connections;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted + SMTPD_FILES_RESERVE)
        return wanted;
    struct log_line line;
    log_begin(&line, LOG_WARNING, "few-descriptors");
    log_number(&line, "limit", (int64_t)files.rlim_cur);
    log_number(&line, "max-connections", wanted);
    log_end(&line);
    return files.rlim_cur > 2 * SMTPD_FILES_RESERVE
               ? (unsigned)(files.rlim_cur - SMTPD_FILES_RESERVE)
               : (unsigned)files.rlim_cur / 2;
}

static void admit_or_turn_away(void *ctx, const struct session_place *place, int fd,
                               const struct endpoint *client);

/* Both or none. */
static struct error *open_tables(struct entrance *entrance, int shared)
{
    struct error *err = counters_open(shared, &entrance->counters);

    if (!err)
        err = rates_open(shared, &entrance->host->rates);
    if (err)
        counters_close(&entrance->counters);
    return err;
}

struct error *entrance_open(struct entrance *entrance, struct session_host *host, int shared)
{
    *entrance = (struct entrance){ .host = host };
    entrance->connections_max = find_connections_max(host->settings);
    proxy_waits_init(&entrance->proxies, host->loop, admit_or_turn_away, entrance);
    struct error *err = open_tables(entrance, shared);
    if (!err)
        return NULL;
    log_failure(LOG_WARNING, "counting-alone", err); /* better than to serve nobody */
    error_free(&err);
    return open_tables(entrance, -1);
}

void entrance_close(struct entrance *entrance)
{
    proxy_waits_clear(&entrance->proxies);
    rates_close(&entrance->host->rates);
    counters_close(&entrance->counters);
}

/* What a client hears whom we do not take; it is not waited for. */
static void turn_away(const struct entrance *entrance, int fd, const struct endpoint *client,
                      enum reply_id why)
{
    char room[REPLY_ROOM], address[NETWORK_TEXT_SIZE];
    const struct reply_facts facts = { .hostname = entrance->host->settings->hostname,
                                       .detail = "" };
    size_t len = reply_write(why, &facts, room);
    struct log_line line;

    (void)send(fd, room, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(fd);
    endpoint_format(client, address);
    log_begin(&line, LOG_INFO, "turn-away");
    log_string(&line, "client", address);
    log_text(&line, "reply", (struct span){ room, len - 2 });
    log_end(&line);
}

/* Users of this machine and loopback are none, nor is who has handed in mail within the hour. */
static bool is_stranger(const struct entrance *entrance, const struct ip_address *client)
{
    return client->family != ADDRESS_LOCAL && !ip_address_is_loopback(client) &&
           !rates_knows(entrance->host->rates, client, loop_now(entrance->host->loop));
}

/* Seven tenths of the connections are no reason for anything. */
static enum pressure pressure_of(const struct entrance *entrance)
{
    unsigned tenth = entrance->connections_max / 10;
    unsigned total = counters_total(entrance->counters);

    if (total >= entrance->connections_max - 2 * tenth)
        return PRESSURE_HIGH;
    return total >= entrance->connections_max - 3 * tenth ? PRESSURE_SLOW : PRESSURE_NONE;
}

static enum admission admit(struct entrance *entrance, const struct session_place *place,
                            const struct ip_address *client)
{
    const struct settings *settings = entrance->host->settings;
    const struct admission_limits limits = {
        .connections = entrance->connections_max,
        .connections_per_client = shares_connections(settings, place->settings),
        .connections_per_network = settings->max_connections_per_network,
        .is_stranger = is_stranger(entrance, client),
    };
    enum admission admission = counters_admit(entrance->counters, client, &limits);

    if (admission == ADMISSION_GRANTED ||
        loop_now(entrance->host->loop) - entrance->swept_ms < SMTPD_SWEEP_MS)
        return admission;
    counters_sweep(entrance->counters); /* perhaps the dead fill the table */
    entrance->swept_ms = loop_now(entrance->host->loop);
    return counters_admit(entrance->counters, client, &limits);
}

static void admit_or_turn_away(void *ctx, const struct session_place *place, int fd,
                               const struct endpoint *client)
{
    struct entrance *entrance = ctx;

    if (entrance->host->is_draining) { /* its proxy was slow to name it */
        turn_away(entrance, fd, client, REPLY_SHUTTING_DOWN);
        return;
    }
    session_host_press(entrance->host, pressure_of(entrance));
    switch (admit(entrance, place, &client->address)) {
    case ADMISSION_GRANTED:
        session_open(entrance->host, place, fd, client);
        break;
    case ADMISSION_FULL:
        turn_away(entrance, fd, client, REPLY_TOO_MANY_CLIENTS);
        break;
    case ADMISSION_CLIENT:
        turn_away(entrance, fd, client, REPLY_TOO_MANY_FROM_YOU);
        break;
    case ADMISSION_NETWORK:
        turn_away(entrance, fd, client, REPLY_TOO_MANY_FROM_NETWORK);
        break;
    }
}

/* Where proxies are expected, nobody else is served, and none without its header (SRV-120). */
static void await_header(struct entrance *entrance, const struct session_place *place, int fd,
                         const struct endpoint *proxy)
{
    if (!network_list_contains(&place->settings->proxy_from, &proxy->address)) {
        proxy_log_refused(proxy, "not in proxy-from");
        close(fd);
    } else if (entrance->proxies.count >= entrance->connections_max) {
        turn_away(entrance, fd, proxy, REPLY_TOO_MANY_CLIENTS);
    } else {
        proxy_wait_start(&entrance->proxies, place, fd, proxy);
    }
}

/* Who is there: the kernel knows a host's address, and the user behind a Unix socket. */
static bool find_client(int fd, const struct sockaddr *address, struct endpoint *out)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (address->sa_family != AF_UNIX)
        return endpoint_from_sockaddr(address, out);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    *out = (struct endpoint){ .address = ip_address_of_user(peer.uid) };
    return true;
}

void entrance_welcome(struct entrance *entrance, const struct session_place *place, int fd,
                      const struct sockaddr *address)
{
    struct endpoint client = { .port = 0 };

    if (!find_client(fd, address, &client))
        close(fd);
    else if (place->settings->proxy_from.count > 0)
        await_header(entrance, place, fd, &client);
    else
        admit_or_turn_away(entrance, place, fd, &client);
}

void entrance_turn_away(const struct entrance *entrance, int fd, const struct sockaddr *address)
{
    struct endpoint client = { .port = 0 };

    if (find_client(fd, address, &client))
        turn_away(entrance, fd, &client, REPLY_TOO_MANY_CLIENTS);
    else
        close(fd);
}

void entrance_left(struct entrance *entrance, const struct ip_address *client)
{
    counters_leave(entrance->counters, client);
    session_host_press(entrance->host, pressure_of(entrance));
}
