#include "tlsrpt/collector.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "tlsrpt/datagram.h"
#include "tlsrpt/day.h"

struct collector {
    struct loop *loop;
    struct counting *counting;
    int fd; /* -1: none */
    struct loop_watch *watch;
    char *room; /* for one datagram; there while a socket is */
    struct collector_counts counts;
    uint64_t told_of;        /* datagrams dropped, when the log heard of it last */
    const char *why;         /* of the last one that was dropped */
    struct loop_timer *tell; /* runs for a while after a line */
};

/* --- what is dropped ------------------------------------------------------------------------- */

static uint64_t dropped(const struct collector *c)
{
    return c->counts.other_version + c->counts.malformed + c->counts.too_large;
}

static void log_dropped(struct collector *c)
{
    struct log_line line;

    log_begin(&line, LOG_WARNING, "tlsrpt-datagrams-dropped");
    log_number(&line, "count", (int64_t)(dropped(c) - c->told_of));
    log_string(&line, "why", c->why);
    log_end(&line);
    c->told_of = dropped(c);
    loop_timer_start(c->tell, COLLECTOR_LOG_MS);
}

static void on_tell(void *ctx)
{
    struct collector *c = ctx;

    if (dropped(c) > c->told_of)
        log_dropped(c);
}

static void drop(struct collector *c, uint64_t *counter, const char *why)
{
    (*counter)++;
    c->why = why;
    if (!loop_timer_running(c->tell))
        log_dropped(c);
}

/* --- one datagram ---------------------------------------------------------------------------- */

/* A session is of the day on which it is told of (RPT-106). */
static void count(struct collector *c, const struct datagram *datagram)
{
    uint32_t today = day_of(clock_utc_ms());

    for (size_t i = 0; i < datagram_count(datagram); i++)
        counting_take(c->counting, today, datagram_event(datagram, i), datagram_record(datagram));
    c->counts.sessions += datagram_count(datagram);
    c->counts.unfinished += datagram_unfinished(datagram);
}

static void take(struct collector *c, struct span text)
{
    struct datagram *datagram = NULL;
    const char *why;

    c->counts.datagrams++;
    if (text.len > DATAGRAM_MAX) {
        drop(c, &c->counts.too_large, "it is too large");
        return;
    }
    switch (datagram_read(text, &datagram, &why)) {
    case DATAGRAM_FINE:
        count(c, datagram);
        break;
    case DATAGRAM_OTHER_VERSION:
        drop(c, &c->counts.other_version, why);
        break;
    case DATAGRAM_MALFORMED:
        drop(c, &c->counts.malformed, why);
        break;
    }
    datagram_free(&datagram);
}

/* Gives the whole length of the next one, of which what fits is in the room; -1: there is none. */
static ssize_t receive(const struct collector *c)
{
    return recv(c->fd, c->room, DATAGRAM_MAX, MSG_TRUNC | MSG_DONTWAIT);
}

/* What is left waits for the next turn: the watch is level triggered. */
static void on_readable(void *ctx, bool readable, bool writable)
{
    struct collector *c = ctx;
    size_t bytes = 0;

    (void)readable;
    (void)writable;
    for (unsigned i = 0; i < COLLECTOR_TURN_DATAGRAMS && bytes < COLLECTOR_TURN_BYTES; i++) {
        ssize_t len = receive(c);
        if (len < 0)
            return;
        take(c, (struct span){ c->room, (size_t)len });
        bytes += (size_t)len;
    }
}

/* --- life ------------------------------------------------------------------------------------ */

struct collector *collector_new(struct loop *loop, struct counting *counting)
{
    struct collector *c = memory_new(sizeof(*c));

    c->loop = loop;
    c->counting = counting;
    c->fd = -1;
    c->tell = loop_timer_new(loop, on_tell, c);
    return c;
}

void collector_stop(struct collector *c)
{
    loop_watch_free(&c->watch);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    free(c->room);
    c->room = NULL;
}

void collector_listen(struct collector *c, int fd)
{
    collector_stop(c);
    c->fd = fd;
    c->room = memory_new(DATAGRAM_MAX);
    c->watch = loop_watch_new(c->loop, fd, on_readable, c);
    loop_watch_want(c->watch, true, false);
}

void collector_free(struct collector **collector)
{
    struct collector *c = *collector;

    *collector = NULL;
    if (!c)
        return;
    collector_stop(c);
    loop_timer_free(&c->tell);
    free(c);
}

struct collector_counts collector_counts(const struct collector *collector)
{
    return collector->counts;
}

void collector_show(const struct collector *collector, struct json *object)
{
    const struct collector_counts *counts = &collector->counts;

    if (collector->fd < 0)
        return;
    json_add_number(object, "socket_datagrams", (int64_t)counts->datagrams);
    json_add_number(object, "socket_sessions", (int64_t)counts->sessions);
    json_add_number(object, "socket_unfinished", (int64_t)counts->unfinished);
    json_add_number(object, "socket_other_version", (int64_t)counts->other_version);
    json_add_number(object, "socket_malformed", (int64_t)counts->malformed);
    json_add_number(object, "socket_too_large", (int64_t)counts->too_large);
}
