#include "smtpd/auth/dovecot_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/base64.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/io/crypto.h"
#include "lib/io/stream.h"
#include "smtpd/auth/dovecot.h"

struct dovecot_link {
    struct loop *loop;
    char *path;
    struct stream *stream;    /* NULL: not connected */
    struct loop_timer *again; /* connects, when there is no connection */
    int64_t wait_ms;
    bool has_version;
    bool is_ready;
    bool is_missed;   /* that it is away has been logged */
    unsigned said;    /* the mechanisms named so far ... */
    unsigned offered; /* ... and those of the last whole list */
    struct list requests;
    struct map *by_id; /* those it knows of */
    uint32_t last_id;
    void (*on_offer)(void *ctx);
    void *ctx;
};

struct dovecot_request {
    struct list others;
    struct dovecot_link *link;
    uint32_t id;
    bool is_known;               /* to Dovecot, on this connection */
    struct loop_timer *deadline; /* runs while it is to answer */
    dovecot_answer_fn *on_answer;
    void *ctx;
};

/* --- requests */

static void forget_at_dovecot(struct dovecot_request *request)
{
    if (request->is_known)
        map_remove_number(request->link->by_id, request->id);
    request->is_known = false;
}

static void request_free(struct dovecot_request *request)
{
    forget_at_dovecot(request);
    list_remove(&request->others);
    loop_timer_free(&request->deadline);
    free(request);
}

static void request_answer(struct dovecot_request *request, const struct dovecot_answer *answer)
{
    dovecot_answer_fn *on_answer = request->on_answer;
    void *ctx = request->ctx;

    if (answer->verdict == DOVECOT_CHALLENGE)
        loop_timer_cancel(request->deadline);
    else
        request_free(request);
    on_answer(ctx, answer);
}

static void say_cancel(const struct dovecot_request *request)
{
    struct buf line;

    if (!request->is_known)
        return;
    buf_init(&line, DOVECOT_LINE_MAX);
    dovecot_put_cancel(&line, request->id);
    stream_write(request->link->stream, buf_span(&line));
    buf_clear(&line);
}

static void on_deadline(void *ctx)
{
    struct dovecot_request *request = ctx;
    const struct dovecot_answer answer = { .verdict = DOVECOT_TROUBLE, .user = "" };

    say_cancel(request);
    request_answer(request, &answer);
}

/* --- what Dovecot says */

static void take_mechanism(struct dovecot_link *link, struct span name)
{
    enum auth_mechanism mechanism = auth_mechanism_of(name);

    /* those whose exchange is the same through SMTP, and that need nothing more from us */
    if (mechanism == AUTH_PLAIN || mechanism == AUTH_LOGIN || mechanism == AUTH_SCRAM_SHA_256)
        link->said |= 1U << mechanism;
}

static void become_ready(struct dovecot_link *link)
{
    struct log_line line;

    link->is_ready = true;
    link->offered = link->said;
    link->wait_ms = DOVECOT_RETRY_FIRST_MS;
    link->is_missed = false;
    stream_deadline(link->stream, -1);
    log_begin(&line, LOG_INFO, "dovecot-connected");
    log_string(&line, "socket", link->path);
    log_end(&line);
    link->on_offer(link->ctx);
}

static struct dovecot_request *request_of(const struct dovecot_link *link, uint32_t id)
{
    struct dovecot_request *request = map_get_number(link->by_id, id);

    return request && loop_timer_running(request->deadline) ? request : NULL;
}

static bool take_challenge(struct dovecot_request *request, struct span text)
{
    struct dovecot_answer answer = { .verdict = DOVECOT_CHALLENGE, .user = "" };
    struct buf bytes;
    bool fine;

    buf_init(&bytes, DOVECOT_LINE_MAX);
    fine = base64_decode(text, &bytes);
    answer.challenge = buf_span(&bytes);
    if (fine)
        request_answer(request, &answer);
    buf_clear(&bytes);
    return fine;
}

/* Yes is only yes to somebody. */
static void take_verdict(struct dovecot_request *request, const struct dovecot_line *line)
{
    struct dovecot_answer answer = { .verdict = DOVECOT_TROUBLE, .user = line->user };

    if (line->kind == DOVECOT_OK && line->user[0] != '\0')
        answer.verdict = DOVECOT_YES;
    else if (line->kind == DOVECOT_FAIL && !line->is_temporary)
        answer.verdict = DOVECOT_NO;
    request_answer(request, &answer);
}

/* An answer to a request, which may have ended here meanwhile. */
static bool take_answer(struct dovecot_link *link, const struct dovecot_line *line)
{
    struct dovecot_request *request = request_of(link, line->id);

    if (!link->is_ready)
        return false;
    if (request && line->kind == DOVECOT_CONTINUE)
        return take_challenge(request, line->challenge);
    if (request)
        take_verdict(request, line);
    return true;
}

/* Gives false for what is not of the protocol. */
static bool take_line(struct dovecot_link *link, struct span text)
{
    struct dovecot_line line = dovecot_parse(text);

    switch (line.kind) {
    case DOVECOT_VERSION:
        link->has_version = line.is_ours;
        return line.is_ours;
    case DOVECOT_MECHANISM:
        take_mechanism(link, line.mechanism);
        return link->has_version;
    case DOVECOT_READY:
        if (link->has_version && !link->is_ready)
            become_ready(link);
        return link->has_version;
    case DOVECOT_CONTINUE:
    case DOVECOT_OK:
    case DOVECOT_FAIL:
        return take_answer(link, &line);
    case DOVECOT_OTHER:
        return true;
    case DOVECOT_BROKEN:
        break;
    }
    return false;
}

/* --- the connection */

static void log_missed(struct dovecot_link *link, const struct error *err)
{
    struct log_line line;

    if (link->is_missed)
        return;
    link->is_missed = true;
    log_begin(&line, LOG_ERROR, "dovecot-away");
    log_string(&line, "socket", link->path);
    log_error(&line, err);
    log_end(&line);
}

/* Those who wait are told now; a client that has the turn hears of it when it has spoken. */
static void fail_requests(struct dovecot_link *link)
{
    struct list all;

    list_init(&all);
    list_splice(&all, &link->requests);
    while (!list_empty(&all)) {
        struct dovecot_request *request = LIST_FIRST(&all, struct dovecot_request, others);
        list_remove(&request->others);
        list_append(&link->requests, &request->others);
        forget_at_dovecot(request);
        if (loop_timer_running(request->deadline))
            on_deadline(request);
    }
}

static void lose(struct dovecot_link *link, const struct error *err)
{
    stream_free(&link->stream);
    log_missed(link, err);
    loop_timer_start(link->again, link->wait_ms);
    link->wait_ms =
        link->wait_ms * 2 < DOVECOT_RETRY_MOST_MS ? link->wait_ms * 2 : DOVECOT_RETRY_MOST_MS;
    fail_requests(link);
}

static size_t on_input(void *ctx, struct span input)
{
    struct dovecot_link *link = ctx;
    size_t used = 0;

    while (link->stream) {
        struct span rest = span_from(input, used);
        size_t len = span_find(rest, '\n');
        if (len == rest.len)
            break;
        used += len + 1;
        if (!take_line(link, span_first(rest, len))) {
            struct error *err = error_new(ERROR_LOCAL, "what it says makes no sense");
            lose(link, err);
            error_free(&err);
        }
    }
    return used;
}

static void on_closed(void *ctx, const struct error *err)
{
    struct error *closed = err ? NULL : error_new(ERROR_LOCAL, "it has closed the connection");

    lose(ctx, err ? err : closed);
    error_free(&closed);
}

static const struct stream_events stream_events = { .input = on_input, .closed = on_closed };

/* A connect in the file system is done, or refused, at once. */
static struct error *open_socket(const char *path, int *out_fd)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd;

    if (!span_to_string(span_of(path), address.sun_path, sizeof(address.sun_path)))
        return error_new(ERROR_LOCAL, "the path is too long");
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
        *out_fd = fd;
        return NULL;
    }
    struct error *err = error_errno(ERROR_LOCAL, errno, "connect");
    if (fd >= 0)
        close(fd);
    return err;
}

static void say_hello(struct dovecot_link *link, int fd)
{
    struct buf line;

    link->stream = stream_open(link->loop, fd, &stream_events, link);
    stream_input_limit(link->stream, DOVECOT_LINE_MAX);
    stream_deadline(link->stream, DOVECOT_HELLO_MS);
    link->has_version = link->is_ready = false;
    link->said = 0;
    buf_init(&line, DOVECOT_LINE_MAX);
    dovecot_put_hello(&line, (unsigned)getpid());
    stream_write(link->stream, buf_span(&line));
    buf_clear(&line);
}

static void on_again(void *ctx)
{
    struct dovecot_link *link = ctx;
    int fd = -1;
    struct error *err = open_socket(link->path, &fd);

    if (err)
        lose(link, err);
    else
        say_hello(link, fd);
    error_free(&err);
}

/* --- what exchanges call */

struct dovecot_link *dovecot_link_new(struct loop *loop, const char *path,
                                      void (*on_offer)(void *ctx), void *ctx)
{
    struct dovecot_link *link = memory_new(sizeof(*link));

    link->loop = loop;
    link->path = memory_copy_text(path);
    link->again = loop_timer_new(loop, on_again, link);
    link->wait_ms = DOVECOT_RETRY_FIRST_MS;
    link->offered = 1U << AUTH_PLAIN | 1U << AUTH_LOGIN;
    list_init(&link->requests);
    link->by_id = map_new();
    link->on_offer = on_offer;
    link->ctx = ctx;
    loop_timer_start(link->again, 0);
    return link;
}

void dovecot_link_free(struct dovecot_link **link)
{
    struct dovecot_link *l = *link;

    if (!l)
        return;
    ensure(list_empty(&l->requests));
    stream_free(&l->stream);
    loop_timer_free(&l->again);
    map_free(&l->by_id);
    free(l->path);
    free(l);
    *link = NULL;
}

const char *dovecot_link_path(const struct dovecot_link *link)
{
    return link->path;
}

unsigned dovecot_link_mechanisms(const struct dovecot_link *link)
{
    return link->offered;
}

static bool can_say(const struct dovecot_link *link)
{
    return link->stream && link->is_ready && stream_pending(link->stream) < DOVECOT_OUTPUT_MAX;
}

/* Says what may hold a password, and forgets it here. */
static void say(const struct dovecot_link *link, struct buf *line)
{
    stream_write(link->stream, buf_span(line));
    if (line->base)
        crypto_cleanse(line->base, line->size);
}

struct dovecot_request *dovecot_begin(struct dovecot_link *link, enum auth_mechanism mechanism,
                                      const char *client, const struct span *response,
                                      dovecot_answer_fn *on_answer, void *ctx)
{
    struct dovecot_request *request = memory_new(sizeof(*request));
    struct buf line;

    buf_init(&line, 2 * DOVECOT_LINE_MAX);
    *request = (struct dovecot_request){ .link = link, .on_answer = on_answer, .ctx = ctx };
    request->id = ++link->last_id;
    request->deadline = loop_timer_new(link->loop, on_deadline, request);
    list_append(&link->requests, &request->others);
    if (can_say(link) && !map_get_number(link->by_id, request->id) &&
        dovecot_put_begin(&line, request->id, auth_mechanism_name(mechanism), client, response)) {
        request->is_known = true;
        map_put_number(link->by_id, request->id, request);
        say(link, &line);
    }
    buf_clear(&line);
    loop_timer_start(request->deadline, request->is_known ? DOVECOT_WAIT_MS : 0);
    return request;
}

void dovecot_respond(struct dovecot_request *request, struct span response)
{
    struct dovecot_link *link = request->link;
    struct buf line;
    bool is_said = false;

    buf_init(&line, 2 * DOVECOT_LINE_MAX);
    if (request->is_known && can_say(link) && dovecot_put_continue(&line, request->id, response)) {
        is_said = true;
        say(link, &line);
    }
    buf_clear(&line);
    loop_timer_start(request->deadline, is_said ? DOVECOT_WAIT_MS : 0);
}

void dovecot_cancel(struct dovecot_request **request)
{
    if (!*request)
        return;
    say_cancel(*request);
    request_free(*request);
    *request = NULL;
}
