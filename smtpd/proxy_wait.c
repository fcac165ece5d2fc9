#include "smtpd/proxy_wait.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/mail/proxy_header.h"

enum { PIECE = 256 }; /* most headers come whole in it */

struct proxy_wait {
    struct proxy_waits *waits;
    struct list in_waits;
    const struct session_place *place;
    struct endpoint proxy;
    int fd; /* -1: given away */
    struct loop_watch *watch;
    struct loop_timer *timer;
    struct buf header;
};

void proxy_log_refused(const struct endpoint *proxy, const char *reason)
{
    char text[NETWORK_TEXT_SIZE];
    struct log_line line;

    endpoint_format(proxy, text);
    log_begin(&line, LOG_INFO, "proxy-refused");
    log_string(&line, "client", text);
    log_string(&line, "reason", reason);
    log_end(&line);
}

static void wait_free(struct proxy_wait *wait)
{
    loop_watch_free(&wait->watch);
    loop_timer_free(&wait->timer);
    if (wait->fd >= 0)
        close(wait->fd);
    buf_clear(&wait->header);
    list_remove(&wait->in_waits);
    wait->waits->count--;
    free(wait);
}

static void refuse(struct proxy_wait *wait, const char *reason)
{
    proxy_log_refused(&wait->proxy, reason);
    wait_free(wait);
}

static void on_late(void *ctx)
{
    refuse(ctx, "no PROXY header in time");
}

static void finish(struct proxy_wait *wait, const struct proxy_header *header)
{
    struct endpoint client = header->is_proxied ? header->client : wait->proxy;
    const struct session_place *place = wait->place;
    struct proxy_waits *waits = wait->waits;
    int fd = wait->fd;

    loop_watch_free(&wait->watch); /* before anybody else watches the descriptor */
    wait->fd = -1;
    wait_free(wait);
    waits->done(waits->ctx, place, fd, &client);
}

/* Takes from the socket what was only looked at. */
static bool take(const struct proxy_wait *wait, char *room, size_t len)
{
    return recv(wait->fd, room, len, MSG_DONTWAIT) == (ssize_t)len;
}

/* Judges the header with `len` bytes more at its end, which are still in the socket, too. */
static void judge(struct proxy_wait *wait, char *piece, size_t len)
{
    size_t before = buf_len(&wait->header);
    struct proxy_header header;

    buf_commit(&wait->header, len);
    switch (proxy_header_parse(buf_span(&wait->header), &header)) {
    case PROXY_MORE:
        if (!take(wait, piece, len))
            refuse(wait, "connection failed");
        break;
    case PROXY_WHOLE:
        if (take(wait, piece, header.length - before))
            finish(wait, &header);
        else
            refuse(wait, "connection failed");
        break;
    case PROXY_BROKEN:
        refuse(wait, "no valid PROXY header");
        break;
    }
}

static void on_bytes(void *ctx, bool readable, bool writable)
{
    struct proxy_wait *wait = ctx;
    size_t room;
    char *piece = buf_reserve(&wait->header, 1, &room);
    ssize_t got;

    (void)readable;
    (void)writable;
    ensure(piece); /* a header that fills the buffer is whole */
    got = recv(wait->fd, piece, room < PIECE ? room : PIECE, MSG_PEEK | MSG_DONTWAIT);
    if (got > 0)
        judge(wait, piece, (size_t)got);
    else if (got == 0)
        refuse(wait, "closed before its PROXY header");
    else if (errno != EAGAIN && errno != EINTR)
        refuse(wait, "connection failed");
}

void proxy_wait_start(struct proxy_waits *waits, const struct session_place *place, int fd,
                      const struct endpoint *proxy)
{
    struct proxy_wait *wait = memory_new(sizeof(*wait));

    wait->waits = waits;
    wait->place = place;
    wait->proxy = *proxy;
    wait->fd = fd;
    buf_init(&wait->header, PROXY_HEADER_MAX);
    list_append(&waits->all, &wait->in_waits);
    waits->count++;
    wait->timer = loop_timer_new(waits->loop, on_late, wait);
    loop_timer_start(wait->timer, waits->patience_ms);
    wait->watch = loop_watch_new(waits->loop, fd, on_bytes, wait);
    loop_watch_want(wait->watch, true, false);
}

void proxy_waits_init(struct proxy_waits *waits, struct loop *loop, proxy_wait_fn *done, void *ctx)
{
    *waits = (struct proxy_waits){
        .loop = loop,
        .patience_ms = SMTPD_PROXY_MS,
        .done = done,
        .ctx = ctx,
    };
    list_init(&waits->all);
}

void proxy_waits_clear(struct proxy_waits *waits)
{
    struct proxy_wait *wait;

    LIST_EACH(wait, &waits->all, struct proxy_wait, in_waits)
    {
        wait_free(wait);
    }
}
