/*
 * fuzz_deliver - the client's dialogue against a server that says anything, in whatever pieces,
 * with real jobs: nothing is said but whole lines, no message goes to who did not ask for it, what
 * is delivered has left with its end, and the session ends with the connection. Input: a byte for
 * the size of the pieces, a byte for the jobs, then what the server says; 0xff there lets the
 * client have a turn, for what answers something.
 */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/envelope_codec.h"
#include "queue/deliver/dialogue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { JOBS = 3, HEARD_MAX = 4 << 20 };

static const size_t pieces[] = { 1, 2, 3, 7, 64, 1000, 65536, 65536 };

struct play {
    struct loop *loop;
    struct loop_timer *patience;
    int fd;
    struct buf heard;
    struct dialogue *dialogue;
    struct job *jobs[JOBS];
    unsigned sent;
    bool goes_along;
    bool has_ended;
};

static char content[JOBS][CONTENT_CHUNK_SIZE * 9];

/* --- the queue's part: the first message is short, the second long, the third has no line end */

static const size_t sizes[JOBS] = { 14, sizeof(content[1]) - 5, 9 };

static void fill_content(void)
{
    memcpy(content[0], "..\r\n.one.one\r\n", sizes[0]);
    for (size_t at = 0; at + 8 <= sizeof(content[1]); at += 8)
        memcpy(content[1] + at, ".two..\r\n", 8);
    memcpy(content[2], "three\r\nxy", sizes[2]);
}

static void pull(void *ctx, uint64_t lease, uint32_t first_chunk, uint32_t count)
{
    (void)ctx;
    (void)lease;
    (void)first_chunk;
    (void)count;
}

static struct content_source source = { pull, NULL };

static void give_content(struct play *p)
{
    for (unsigned i = 0; i < JOBS; i++) {
        struct content *c = &p->jobs[i]->content;
        while (c->stale > 0 || (c->running && c->arrived < c->asked)) {
            size_t at = (size_t)c->arrived * CONTENT_CHUNK_SIZE;
            struct span rest = { content[i] + at, sizes[i] - at };
            ensure(content_arrived(c, c->arrived, false, span_first(rest, CONTENT_CHUNK_SIZE)));
        }
    }
}

static struct job *make_job(unsigned i, bool is_international)
{
    Ipc__Job message = IPC__JOB__INIT;
    struct envelope e;
    struct address path;
    struct job *job;

    envelope_init(&e);
    ensure(address_parse_reverse(SPAN("a@example.org"), &e.reverse_path) == ADDRESS_FINE);
    ensure(address_parse_utf8(SPAN("b@example.net"), &path) == ADDRESS_FINE);
    envelope_add(&e, &path);
    ensure(
        address_parse_utf8(is_international ? SPAN("\xc3\xbc@example.net") : SPAN("c@example.net"),
                           &path) == ADDRESS_FINE);
    envelope_add(&e, &path)->number = 1;
    e.smtputf8 = is_international;
    message.lease = message.id = i + 1;
    message.envelope = envelope_to_message(&e);
    message.size = sizes[i];
    message.chunks = (uint32_t)((sizes[i] + CONTENT_CHUNK_SIZE - 1) / CONTENT_CHUNK_SIZE);
    job = job_new(&message, &source);
    envelope_message_free(&message.envelope);
    envelope_clear(&e);
    ensure(job != NULL);
    return job;
}

/* --- the owner's part */

static struct job *next_job(struct play *p)
{
    return p->sent < JOBS ? p->jobs[p->sent++] : NULL;
}

static bool on_judge(void *ctx, struct dialogue *d)
{
    (void)ctx;
    (void)d;
    return true;
}

static void on_ready(void *ctx, struct dialogue *d)
{
    struct job *job = next_job(ctx);

    if (job)
        dialogue_send(d, job);
}

static struct job *on_next(void *ctx, struct dialogue *d)
{
    struct play *p = ctx;

    (void)d;
    return p->goes_along ? next_job(p) : NULL;
}

static void on_finished(void *ctx, struct dialogue *d, struct job *job, enum mail_end end)
{
    struct play *p = ctx;

    ensure(end != MAIL_DONE || job_open_count(job) == 0);
    if (!dialogue_is_idle(d))
        return;
    if (end == MAIL_AGAIN && !dialogue_is_spent(d))
        dialogue_send(d, job);
    else if (dialogue_is_spent(d))
        dialogue_quit(&p->dialogue);
    else
        on_ready(p, d);
}

/* A reply's lines are joined by LF; nothing else but text gets as far as that. */
static bool is_harmless(struct span words)
{
    struct span line;

    while (span_cut(&words, '\n', &line))
        if (!span_is_printable(line))
            return false;
    return true;
}

static void on_ended(void *ctx, struct dialogue *d, const struct dialogue_end *end)
{
    struct play *p = ctx;

    ensure(d == p->dialogue && is_harmless(end->words));
    p->dialogue = NULL;
    p->has_ended = true;
}

static const struct dialogue_events events = {
    .judge = on_judge,
    .ready = on_ready,
    .next = on_next,
    .finished = on_finished,
    .ended = on_ended,
};

/* --- a play */

static void on_patience(void *ctx)
{
    loop_stop(((struct play *)ctx)->loop);
}

static void hear(struct play *p)
{
    char room[65536];
    ssize_t len;

    while ((len = read(p->fd, room, sizeof(room))) > 0)
        ensure(buf_append(&p->heard, (struct span){ room, (size_t)len }));
}

static void take_turn(struct play *p)
{
    loop_timer_start(p->patience, 0);
    loop_run(p->loop);
    give_content(p);
    hear(p);
}

static void open_play(struct play *p, uint8_t flags)
{
    static const struct dialogue_waits waits = { .ms = { [WAIT_CONNECT] = 1000000,
                                                         1000000,
                                                         1000000,
                                                         1000000,
                                                         1000000,
                                                         1000000,
                                                         1000000,
                                                         1000000,
                                                         [WAIT_NONE] = -1 } };
    static const struct dialogue_plan plan = { .waits = &waits,
                                               .helo = "relay.example",
                                               .mx = "mx1.example.net",
                                               .messages_max = 100,
                                               .life_ms = 1000000 };
    int fds[2];

    fill_content();
    for (unsigned i = 0; i < JOBS; i++)
        p->jobs[i] = make_job(flags & 4 ? (i + 1) % JOBS : i, flags & 2);
    p->jobs[0]->is_probe = flags & 8;
    p->goes_along = flags & 1;
    p->loop = loop_new();
    p->patience = loop_timer_new(p->loop, on_patience, p);
    buf_init(&p->heard, HEARD_MAX);
    ensure(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    p->fd = fds[1];
    p->dialogue = dialogue_open(p->loop, fds[0], &plan, &events, p);
}

static void say(struct play *p, struct span text, size_t size)
{
    struct span part;

    while (text.len > 0) {
        part = span_first(text, span_find(span_first(text, size), '\xff'));
        if (part.len > 0)
            (void)!send(p->fd, part.data, part.len, MSG_NOSIGNAL);
        text = span_from(text, part.len);
        if (text.len > 0 && text.data[0] == '\xff')
            text = span_from(text, 1);
        take_turn(p);
        take_turn(p);
    }
}

/* --- what must hold */

static bool holds(const struct play *p, const char *text)
{
    struct span heard = buf_span(&p->heard);

    return heard.len > 0 && memmem(heard.data, heard.len, text, strlen(text)) != NULL;
}

static void check_results(const struct play *p)
{
    bool has_end = holds(p, "\r\n.\r\n") || holds(p, " LAST\r\n");

    for (unsigned i = 0; i < JOBS; i++)
        for (unsigned n = 0; n < p->jobs[i]->envelope.recipient_count; n++) {
            const struct job_result *r = &p->jobs[i]->results[n];
            ensure(r->state != RECIPIENT_SETTLED || r->is_given);
            if (r->is_given && r->kind == OUTCOME_DELIVERED)
                ensure(has_end || p->jobs[i]->is_probe);
        }
    ensure(!holds(p, "one.one") || holds(p, "DATA\r\n") || holds(p, "BDAT "));
}

static void close_play(struct play *p)
{
    shutdown(p->fd, SHUT_WR);
    for (int i = 0; i < 4; i++)
        take_turn(p);
    check_results(p);
    dialogue_free(&p->dialogue);
    close(p->fd);
    for (int i = 0; i < 2; i++)
        take_turn(p);
    for (unsigned i = 0; i < JOBS; i++)
        job_free(&p->jobs[i]);
    loop_timer_free(&p->patience);
    buf_clear(&p->heard);
    loop_free(&p->loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play p = { .sent = 0 };

    if (size < 2)
        return 0;
    signal(SIGPIPE, SIG_IGN);
    log_open(-1, LOG_ERROR, "fuzz");
    open_play(&p, data[1]);
    say(&p, (struct span){ (const char *)data + 2, size - 2 }, pieces[data[0] % 8]);
    close_play(&p);
    return 0;
}
