#include "policy/socketmap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/io/stream.h"
#include "lib/mail/netstring.h"

enum { COMPLAIN_EVERY_MS = MINUTE_MS };

struct socketmap {
    struct loop *loop;
    struct inquiries *inquiries;
    int fd; /* -1: none */
    struct loop_watch *watch;
    struct loop_timer *rest;
    struct list clients; /* the longest idle first */
    unsigned client_count;
    uint64_t answers;
    int64_t complained_ms; /* the next time at the earliest */
};

struct client {
    struct list in_socketmap;
    struct socketmap *socketmap;
    struct stream *stream;
    struct postfix_question question; /* the last one */
    struct inquirer *asking;          /* that one is under way */
};

/* ---- connections -------------------------------------------------------------------------- */

static void client_free(struct client *client)
{
    inquiry_cancel(&client->asking);
    stream_free(&client->stream);
    list_remove(&client->in_socketmap);
    client->socketmap->client_count--;
    free(client);
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)err;
    client_free(ctx);
}

/* What has been answered still leaves. */
static void hang_up(struct client *client)
{
    stream_finish(&client->stream, SOCKETMAP_CLOSE_MS);
    client_free(client);
}

static void note_activity(struct client *client)
{
    list_remove(&client->in_socketmap);
    list_append(&client->socketmap->clients, &client->in_socketmap);
    stream_deadline(client->stream, SOCKETMAP_IDLE_MS);
}

/* ---- questions and answers ---------------------------------------------------------------- */

static bool log_wants_answers(struct log_line *line)
{
    log_begin(line, LOG_DEBUG, "policy-told");
    return line->wanted;
}

static void log_answer(const struct client *client, struct span answer)
{
    struct log_line line;

    if (!log_wants_answers(&line))
        return;
    log_string(&line, "domain", client->question.domain);
    log_text(&line, "answer", answer);
    log_end(&line);
}

static void write_answer(struct client *client, struct span answer)
{
    struct buf framed;

    buf_init(&framed, SOCKETMAP_REPLY_MAX + 16);
    ensure(netstring_write(answer, &framed));
    client->socketmap->answers++;
    stream_write(client->stream, buf_span(&framed));
    buf_clear(&framed);
    note_activity(client);
}

static void on_answer(void *ctx, struct span answer)
{
    struct client *client = ctx;

    client->asking = NULL;
    log_answer(client, answer);
    write_answer(client, answer);
    stream_resume(client->stream);
}

/* The inquiry has an end of its own; nothing is read meanwhile, so that answers keep their order.
 */
static void ask(struct client *client)
{
    client->asking =
        inquiry_ask(client->socketmap->inquiries, &client->question, on_answer, client);
    stream_deadline(client->stream, -1);
    stream_pause(client->stream);
}

static void take_request(struct client *client, struct span request)
{
    enum postfix_asked asked = postfix_question_parse(request, &client->question);
    struct span answer;

    if (asked != POSTFIX_ASKS_POLICY) {
        write_answer(client, postfix_answer_at_once(asked));
    } else if (inquiry_recall(client->socketmap->inquiries, &client->question, &answer)) {
        log_answer(client, answer);
        write_answer(client, answer);
    } else {
        ask(client);
    }
    if (stream_pending(client->stream) > SOCKETMAP_OUTPUT_MAX)
        stream_pause(client->stream);
}

static size_t on_input(void *ctx, struct span input)
{
    struct client *client = ctx;
    struct span request = { NULL, 0 };
    size_t used = 0;

    switch (netstring_read(input, SOCKETMAP_REQUEST_MAX, &request, &used)) {
    case NETSTRING_WHOLE:
        take_request(client, request);
        break;
    case NETSTRING_PART:
        break;
    case NETSTRING_WRONG:
        hang_up(client);
        break;
    }
    return used;
}

static void on_drained(void *ctx)
{
    struct client *client = ctx;

    if (!client->asking)
        stream_resume(client->stream);
}

static const struct stream_events stream_events = {
    .input = on_input,
    .drained = on_drained,
    .closed = on_closed,
};

/* ---- the socket --------------------------------------------------------------------------- */

static void complain(struct socketmap *socketmap, const char *trouble)
{
    struct log_line line;

    if (loop_now(socketmap->loop) < socketmap->complained_ms)
        return;
    socketmap->complained_ms = loop_now(socketmap->loop) + COMPLAIN_EVERY_MS;
    log_begin(&line, LOG_WARNING, "socketmap-crowded");
    log_string(&line, "reason", trouble);
    log_end(&line);
}

/* The longest idle one makes room; false: all of them wait for answers. */
static bool make_room(struct socketmap *socketmap)
{
    struct client *client;

    LIST_EACH(client, &socketmap->clients, struct client, in_socketmap)
    {
        if (!client->asking) {
            client_free(client);
            return true;
        }
    }
    return false;
}

static void welcome(struct socketmap *socketmap, int fd)
{
    if (socketmap->client_count >= SOCKETMAP_CLIENTS_MAX) {
        complain(socketmap, "too many connections");
        if (!make_room(socketmap)) {
            close(fd);
            return;
        }
    }
    struct client *client = memory_new(sizeof(*client));
    client->socketmap = socketmap;
    client->stream = stream_open(socketmap->loop, fd, &stream_events, client);
    stream_low_mark(client->stream, SOCKETMAP_OUTPUT_MAX / 2);
    list_append(&socketmap->clients, &client->in_socketmap);
    socketmap->client_count++;
    note_activity(client);
}

static void on_rested(void *ctx)
{
    struct socketmap *socketmap = ctx;

    if (socketmap->watch)
        loop_watch_want(socketmap->watch, true, false);
}

/* Without descriptors or memory the socket rests, or the loop would turn at full speed. */
static void rest(struct socketmap *socketmap)
{
    complain(socketmap, "no descriptors");
    loop_watch_want(socketmap->watch, false, false);
    loop_timer_start(socketmap->rest, SOCKETMAP_REST_MS);
}

static bool is_exhaustion(int errnum)
{
    return errnum == EMFILE || errnum == ENFILE || errnum == ENOBUFS || errnum == ENOMEM;
}

static void on_connection(void *ctx, bool readable, bool writable)
{
    struct socketmap *socketmap = ctx;
    int fd = 0;

    (void)readable;
    (void)writable;
    for (int i = 0; i < ACCEPTS_PER_TURN && fd >= 0; i++) {
        fd = accept4(socketmap->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            welcome(socketmap, fd);
        else if (is_exhaustion(errno))
            rest(socketmap);
    }
}

static void close_socket(struct socketmap *socketmap)
{
    loop_timer_cancel(socketmap->rest);
    loop_watch_free(&socketmap->watch);
    if (socketmap->fd >= 0)
        close(socketmap->fd);
    socketmap->fd = -1;
}

void socketmap_listen(struct socketmap *socketmap, int fd)
{
    close_socket(socketmap);
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    socketmap->fd = fd;
    socketmap->watch = loop_watch_new(socketmap->loop, fd, on_connection, socketmap);
    loop_watch_want(socketmap->watch, true, false);
}

void socketmap_stop(struct socketmap *socketmap)
{
    close_socket(socketmap);
    while (!list_empty(&socketmap->clients))
        client_free(LIST_FIRST(&socketmap->clients, struct client, in_socketmap));
}

struct socketmap_counts socketmap_counts(const struct socketmap *socketmap)
{
    return (struct socketmap_counts){ socketmap->client_count, socketmap->answers };
}

struct socketmap *socketmap_new(struct loop *loop, struct inquiries *inquiries)
{
    struct socketmap *socketmap = memory_new(sizeof(*socketmap));

    socketmap->loop = loop;
    socketmap->inquiries = inquiries;
    socketmap->fd = -1;
    socketmap->rest = loop_timer_new(loop, on_rested, socketmap);
    list_init(&socketmap->clients);
    return socketmap;
}

void socketmap_free(struct socketmap **socketmap)
{
    struct socketmap *s = *socketmap;

    *socketmap = NULL;
    if (!s)
        return;
    socketmap_stop(s);
    loop_timer_free(&s->rest);
    free(s);
}
