/*
 * Plays the transcripts tests/dialogue/deliver-*.smtp against the delivery client: here we are the
 * server.  Their first line is the title; then, in the order of the wire:
 *   S: what the server says       C: what the client must say, "*" at its end: and anything behind
 *   S> and C> the same without CRLF   S*N: and C*N: N times
 *   hangs up: the server closes   closed: the client has closed
 *   mute: the client says nothing now
 *   R: NUMBER.RECIPIENT KIND STATUS WORDS   what came of a recipient ("*" as above), or "open"
 *   ended: WORDS                  the owner was told that the session is over, and why
 *   @ changes a fact, see `facts` below.  Escapes in S: \r \n \0 \\ \xHH.
 */
#include "tests/support/test.h"
#include "tests/support/throwaway_ca.h"

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/envelope_codec.h"
#include "lib/mail/dsn.h"
#include "queue/deliver/dialogue.h"

/* --- a clock that can be moved on: a test of a five minutes' wait takes none */

static int64_t clock_offset_s;

int clock_gettime(clockid_t which, struct timespec *now)
{
    long result = syscall(SYS_clock_gettime, which, now);

    if (which == CLOCK_MONOTONIC || which == CLOCK_MONOTONIC_COARSE)
        now->tv_sec += clock_offset_s;
    return (int)result;
}

/* --- the stage */

enum { JOBS_MAX = 8, SETTLE_MS = 15, PATIENCE_MS = 2000 };

struct play {
    struct loop *loop;
    struct loop_timer *patience;
    bool timed_out;
    int fd; /* the server's end */
    struct loop_watch *watch;
    struct buf heard;
    bool hung_up;
    char line[8192];

    struct dialogue *dialogue;
    struct job *jobs[JOBS_MAX];
    struct span content[JOBS_MAX];
    unsigned job_count;
    unsigned sent; /* jobs handed to the dialogue */
    enum mail_end ends[JOBS_MAX];
    bool takes_next_along;
    bool holds_content;
    bool judges_badly;
    bool logs_in;
    bool is_secure;     /* TLS from the first byte on ... */
    struct stream *tls; /* ... which ends here */
    int tls_fd;         /* and goes on in clear to `fd` */
    struct loop_watch *tls_watch;
    bool is_ready;
    bool is_ended;
    char ended[4096];

    const char *file;
    int line_number;
};

static struct play *stage; /* of the transcript that is played */

static void fail_at(const char *what, const char *expected, const char *got)
{
    fail_msg("%s:%d: %s: expected \"%s\", got \"%s\"", stage->file, stage->line_number, what,
             expected, got ? got : "nothing");
}

static void on_patience(void *ctx)
{
    struct play *p = ctx;

    p->timed_out = true;
    loop_stop(p->loop);
}

static void run_for(struct play *p, int64_t wait_ms)
{
    p->timed_out = false;
    loop_timer_start(p->patience, wait_ms);
    loop_run(p->loop);
    loop_timer_cancel(p->patience);
}

static void on_heard(void *ctx, bool readable, bool writable)
{
    struct play *p = ctx;
    char room[65536];
    ssize_t len = read(p->fd, room, sizeof(room));

    (void)readable;
    (void)writable;
    if (len > 0) {
        assert_true(buf_append(&p->heard, (struct span){ room, (size_t)len }));
    } else if (len == 0 || errno != EAGAIN) {
        p->hung_up = true;
        loop_watch_want(p->watch, false, false);
    }
    loop_stop(p->loop);
}

/* --- the queue's part: content */

static void pull(void *ctx, uint64_t lease, uint32_t first_chunk, uint32_t count)
{
    struct play *p = ctx;

    (void)first_chunk;
    (void)count;
    (void)lease;
    loop_stop(p->loop); /* it is given in the next turn */
}

static const char *chunk_of(struct play *p, unsigned i)
{
    return p->content[i].data;
}

/* What was pulled comes a turn later, as it does from the queue. */
static void give_content(struct play *p)
{
    for (unsigned i = 0; i < p->job_count; i++) {
        struct content *c = &p->jobs[i]->content;
        while (!p->holds_content && (c->stale > 0 || (c->running && c->arrived < c->asked))) {
            size_t at = (size_t)c->arrived * CONTENT_CHUNK_SIZE;
            struct span rest = { chunk_of(p, i) + at, p->content[i].len - at };
            assert_true(
                content_arrived(c, c->arrived, false, span_first(rest, CONTENT_CHUNK_SIZE)));
        }
    }
}

static void settle(struct play *p)
{
    do {
        give_content(p);
        run_for(p, SETTLE_MS);
        give_content(p);
    } while (!p->timed_out);
}

/* --- the owner's part */

static struct job *next_job(struct play *p)
{
    return p->sent < p->job_count ? p->jobs[p->sent++] : NULL;
}

static bool on_judge(void *ctx, struct dialogue *d)
{
    const struct play *p = ctx;

    (void)d;
    return !p->judges_badly;
}

static void on_ready(void *ctx, struct dialogue *d)
{
    struct play *p = ctx;
    struct job *job = next_job(p);

    p->is_ready = true;
    if (job)
        dialogue_send(d, job);
}

static struct job *on_next(void *ctx, struct dialogue *d)
{
    struct play *p = ctx;

    (void)d;
    return p->takes_next_along ? next_job(p) : NULL;
}

static void on_finished(void *ctx, struct dialogue *d, struct job *job, enum mail_end end)
{
    struct play *p = ctx;

    for (unsigned i = 0; i < p->job_count; i++)
        if (p->jobs[i] == job)
            p->ends[i] = end;
    if (!dialogue_is_idle(d))
        return;
    if (end == MAIL_AGAIN)
        dialogue_send(d, job);
    else if (dialogue_is_spent(d))
        dialogue_quit(&p->dialogue);
    else if ((job = next_job(p)) != NULL)
        dialogue_send(d, job);
}

static void on_ended(void *ctx, struct dialogue *d, const struct dialogue_end *end)
{
    struct play *p = ctx;

    assert_ptr_equal(d, p->dialogue);
    p->dialogue = NULL;
    p->is_ended = true;
    snprintf(p->ended, sizeof(p->ended), "%.*s", (int)end->words.len,
             end->words.data ? end->words.data : "");
    if (end->refused)
        snprintf(p->ended, sizeof(p->ended), "refused");
}

static const struct dialogue_events dialogue_events = {
    .judge = on_judge,
    .ready = on_ready,
    .next = on_next,
    .finished = on_finished,
    .ended = on_ended,
};

/* --- TLS: the server of a transcript hears and says what stands inside of it */

static struct tls_context *client_tls, *server_tls;

static int make_contexts(void **state)
{
    struct throwaway_ca *ca = throwaway_ca_new("Throwaway CA");
    const struct leaf_wish wish = { .names = (const char *const[]){ "DNS:mx1.example.net", NULL } };
    char *ca_pem = throwaway_ca_pem(ca), *pem, *key;
    struct tls_trust *trust = NULL;

    (void)state;
    throwaway_leaf(ca, &wish, &pem, &key);
    assert_null(throwaway_server(span_of(pem), span_of(key), &server_tls));
    assert_null(tls_trust_new(span_of(ca_pem), &trust));
    assert_null(tls_client_context_new(trust, TLS_FLOOR_STRICT, &client_tls));
    tls_trust_free(&trust);
    throwaway_ca_free(&ca);
    free(ca_pem);
    free(pem);
    free(key);
    return 0;
}

static int free_contexts(void **state)
{
    (void)state;
    tls_context_free(&client_tls);
    tls_context_free(&server_tls);
    return 0;
}

static void tls_over(struct play *p)
{
    loop_watch_free(&p->tls_watch);
    if (p->tls_fd >= 0)
        close(p->tls_fd);
    p->tls_fd = -1;
    stream_free(&p->tls);
}

static size_t on_tls_input(void *ctx, struct span input)
{
    const struct play *p = ctx;

    assert_int_equal(write(p->tls_fd, input.data, input.len), input.len);
    return input.len;
}

static void on_tls_closed(void *ctx, const struct error *err)
{
    (void)err;
    tls_over(ctx);
}

static void on_tls_secured(void *ctx, const struct tls_session *session)
{
    (void)ctx;
    (void)session;
}

/* What the server says in clear, or that it hangs up. */
static void on_tls_said(void *ctx, bool readable, bool writable)
{
    struct play *p = ctx;
    char room[65536];
    ssize_t len = read(p->tls_fd, room, sizeof(room));

    (void)readable;
    (void)writable;
    if (len > 0)
        stream_write(p->tls, (struct span){ room, (size_t)len });
    else if (len == 0)
        tls_over(p);
}

/* Puts the end of TLS between the client's socket and the transcript's. */
static void put_tls(struct play *p, int server_fd)
{
    static const struct stream_events events = { .input = on_tls_input,
                                                 .closed = on_tls_closed,
                                                 .secured = on_tls_secured };
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    p->fd = fds[0];
    p->tls_fd = fds[1];
    p->tls = stream_open(p->loop, server_fd, &events, p);
    stream_secure_server(p->tls, server_tls);
    p->tls_watch = loop_watch_new(p->loop, p->tls_fd, on_tls_said, p);
    loop_watch_want(p->tls_watch, true, false);
}

static void open_dialogue(struct play *p)
{
    static const struct login_identity identity = { { "ada", 3 }, { "secret", 6 } };
    static struct settings defaults;
    static struct dialogue_waits waits;
    struct dialogue_plan plan = { .helo = "relay.example",
                                  .mx = "mx1.example.net",
                                  .waits = &waits,
                                  .messages_max = 100,
                                  .life_ms = 3600 * 1000,
                                  .identity = p->logs_in ? &identity : NULL,
                                  .implicit_tls = p->is_secure,
                                  .context = p->is_secure ? client_tls : NULL };
    int fds[2];

    settings_defaults(&defaults);
    waits = dialogue_waits(&defaults);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    p->fd = fds[1];
    p->tls_fd = -1;
    if (p->is_secure)
        put_tls(p, fds[1]);
    p->watch = loop_watch_new(p->loop, p->fd, on_heard, p);
    loop_watch_want(p->watch, true, false);
    p->dialogue = dialogue_open(p->loop, fds[0], &plan, &dialogue_events, p);
}

/* --- facts */

static char unescape(const char **at)
{
    char c = *(*at)++;

    if (c != '\\')
        return c;
    c = *(*at)++;
    if (c == 'r')
        return '\r';
    if (c == 'n')
        return '\n';
    if (c == '0')
        return '\0';
    if (c == 'x') {
        char hex[3] = { (*at)[0], (*at)[1], '\0' };
        *at += 2;
        return (char)strtol(hex, NULL, 16);
    }
    return c;
}

static size_t unescape_all(const char *text, char *room, size_t size)
{
    size_t len = 0;

    while (*text && len < size)
        room[len++] = unescape(&text);
    return len;
}

static struct content_source source;

static struct job *make_job(const struct envelope *e, uint64_t lease, size_t size)
{
    Ipc__Job message = IPC__JOB__INIT;
    struct job *job;

    message.lease = lease;
    message.id = lease;
    message.envelope = envelope_to_message(e);
    message.size = size;
    message.chunks = (uint32_t)((size + CONTENT_CHUNK_SIZE - 1) / CONTENT_CHUNK_SIZE);
    job = job_new(&message, &source);
    envelope_message_free(&message.envelope);
    assert_non_null(job);
    return job;
}

/* "a@example.org b@example.net,c@example.net content": one job.  "<>" is the null sender. */
static void add_job(struct play *p, const char *value)
{
    struct envelope e;
    struct address address;
    char *text = memory_copy_text(value), *rest = text;
    char *from = strsep(&rest, " "), *to = strsep(&rest, " "), *path;
    char *content = memory_new(strlen(rest ? rest : "") + 1);
    unsigned i = p->job_count++;

    envelope_init(&e);
    if (strcmp(from, "<>") == 0)
        from += 2;
    assert_int_equal(address_parse_reverse(span_of(from), &e.reverse_path), ADDRESS_FINE);
    for (unsigned n = 0; (path = strsep(&to, ",")) != NULL; n++) {
        assert_int_equal(address_parse_utf8(span_of(path), &address), ADDRESS_FINE);
        envelope_add(&e, &address)->number = n;
    }
    p->content[i].data = content;
    p->content[i].len = unescape_all(rest ? rest : "", content, strlen(rest ? rest : ""));
    p->jobs[i] = make_job(&e, i + 1, p->content[i].len);
    envelope_clear(&e);
    free(text);
}

/* What the last job's envelope says beside its paths, changed by `change`. */
static void change_envelope(struct play *p, void (*change)(struct envelope *e, const char *value),
                            const char *value)
{
    unsigned i = p->job_count - 1;
    struct job *job;

    change(&p->jobs[i]->envelope, value);
    job = make_job(&p->jobs[i]->envelope, i + 1, p->content[i].len);
    job_free(&p->jobs[i]);
    p->jobs[i] = job;
}

static void change_dsn(struct envelope *e, const char *value)
{
    char ret[8], envid[ENVID_MAX + 1], notify[40], orcpt[ORCPT_MAX + 1];

    assert_int_equal(sscanf(value, "%7s %100s %39s %500s", ret, envid, notify, orcpt), 4);
    assert_true(dsn_parse_ret(span_of(ret), &e->dsn));
    assert_true(dsn_parse_envid(span_of(envid), &e->dsn));
    assert_true(dsn_parse_notify(span_of(notify), &e->recipients[0].notify));
    assert_true(dsn_parse_orcpt(span_of(orcpt), e->recipients[0].orcpt));
}

static void set_dsn(struct play *p, const char *value)
{
    change_envelope(p, change_dsn, value);
}

static void change_smtputf8(struct envelope *e, const char *value)
{
    e->smtputf8 = true;
    e->utf8_header = strcmp(value, "header") == 0;
}

static void set_smtputf8(struct play *p, const char *value)
{
    change_envelope(p, change_smtputf8, value);
}

static void change_requiretls(struct envelope *e, const char *value)
{
    (void)value;
    e->requiretls = true;
}

static void set_requiretls(struct play *p, const char *value)
{
    change_envelope(p, change_requiretls, value);
}

static void change_priority(struct envelope *e, const char *value)
{
    e->priority = atoi(value);
}

static void set_priority(struct play *p, const char *value)
{
    change_envelope(p, change_priority, value);
}

/* The last job's content becomes so many lines of 100 octets. */
static void set_lines(struct play *p, const char *value)
{
    unsigned i = p->job_count - 1;
    size_t lines = (size_t)atol(value);
    char *content = memory_new(lines * 100);
    struct job *job;

    for (size_t n = 0; n < lines; n++) {
        memset(content + n * 100, 'x', 98);
        memcpy(content + n * 100 + 98, "\r\n", 2);
    }
    free((void *)(uintptr_t)p->content[i].data);
    p->content[i] = (struct span){ content, lines * 100 };
    job = make_job(&p->jobs[i]->envelope, i + 1, lines * 100);
    job_free(&p->jobs[i]);
    p->jobs[i] = job;
}

static void set_eight_bit(struct play *p, const char *value)
{
    (void)value;
    p->jobs[p->job_count - 1]->eight_bit = true;
}

static void set_probe(struct play *p, const char *value)
{
    (void)value;
    p->jobs[p->job_count - 1]->is_probe = true;
}

/* The last mail goes with these fields in front. */
static void set_signed(struct play *p, const char *value)
{
    struct job *job = p->jobs[p->job_count - 1];
    char fields[200];
    size_t len = unescape_all(value, fields, sizeof(fields));

    job->signatures = (struct span){ job_keep(job, (struct span){ fields, len }), len };
    job->size += len;
}

static void set_along(struct play *p, const char *value)
{
    (void)value;
    p->takes_next_along = true;
}

static void set_hold(struct play *p, const char *value)
{
    p->holds_content = strcmp(value, "on") == 0;
}

static void set_damaged(struct play *p, const char *value)
{
    struct content *c = &p->jobs[0]->content;

    (void)value;
    assert_true(content_arrived(c, c->arrived, true, (struct span){ NULL, 0 }));
}

static void set_judge(struct play *p, const char *value)
{
    p->judges_badly = strcmp(value, "no") == 0;
}

static void set_login(struct play *p, const char *value)
{
    (void)value;
    p->logs_in = true;
}

static void set_tls(struct play *p, const char *value)
{
    (void)value;
    p->is_secure = true;
}

static void pass_time(struct play *p, const char *value)
{
    settle(p);
    clock_offset_s += atol(value);
    settle(p);
}

static const struct {
    const char *name;
    void (*set)(struct play *p, const char *value);
} facts[] = {
    { "mail", add_job },            /* FROM TO[,TO] CONTENT */
    { "lines", set_lines },         /* the last mail's content: so many lines of 100 octets */
    { "eight-bit", set_eight_bit }, /* the last mail's content */
    { "dsn", set_dsn },             /* RET ENVID NOTIFY ORCPT, of the last mail's first recipient */
    { "smtputf8", set_smtputf8 },   /* was said of the last mail; "header": it is needed there */
    { "requiretls", set_requiretls }, /* was said of the last mail */
    { "priority", set_priority },     /* of the last mail */
    { "tls", set_tls },               /* from the first byte on */
    { "login", set_login },           /* the route has credentials */
    { "probe", set_probe },           /* the last mail is none: only its RCPT is asked for */
    { "signed", set_signed },         /* the last mail: its DKIM-Signature fields */
    { "along", set_along },           /* the next mail leaves with the end of the one before */
    { "hold", set_hold },             /* on: the queue gives no content; off: it does */
    { "damaged", set_damaged }, /* the queue says that the first mail's next chunk is damaged */
    { "judge", set_judge },     /* no: the session is not good enough for mail */
    { "wait", pass_time },      /* seconds */
};

static void take_fact(struct play *p, char *text)
{
    char *value = strchr(text, ' ');

    if (value)
        *value++ = '\0';
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
        if (strcmp(facts[i].name, text) == 0) {
            facts[i].set(p, value ? value : "");
            return;
        }
    fail_at("fact", "a known one", text);
}

/* --- voices */

static void say(struct play *p, const char *text, bool ends_line)
{
    char room[8192];
    size_t len = unescape_all(text, room, sizeof(room) - 2);

    if (ends_line) {
        room[len++] = '\r';
        room[len++] = '\n';
    }
    (void)!send(p->fd, room, len, MSG_NOSIGNAL);
}

static bool fits(const char *expected, const char *got)
{
    size_t len = strlen(expected);

    if (len > 0 && expected[len - 1] == '*')
        return strncmp(expected, got, len - 1) == 0;
    return strcmp(expected, got) == 0;
}

static bool take_heard_line(struct play *p)
{
    struct span heard = buf_span(&p->heard);
    size_t len = span_find(heard, '\n');

    if (len == heard.len || len == 0 || heard.data[len - 1] != '\r' || len >= sizeof(p->line))
        return false;
    memcpy(p->line, heard.data, len - 1);
    p->line[len - 1] = '\0';
    buf_consume(&p->heard, len + 1);
    return true;
}

static void hear(struct play *p, const char *expected)
{
    while (!take_heard_line(p)) {
        give_content(p);
        if (p->hung_up)
            fail_at("client", expected, "closed");
        run_for(p, PATIENCE_MS);
        if (p->timed_out)
            fail_at("client", expected, NULL);
    }
    if (!fits(expected, p->line))
        fail_at("client", expected, p->line);
}

/* What comes next, a line's end or not. */
static void hear_part(struct play *p, const char *expected)
{
    struct span part = span_of(expected);

    while (buf_len(&p->heard) < part.len) {
        give_content(p);
        run_for(p, PATIENCE_MS);
        if (p->hung_up || p->timed_out)
            fail_at("client", expected, NULL);
    }
    if (!span_equal(span_first(buf_span(&p->heard), part.len), part))
        fail_at("client", expected, "something else");
    buf_consume(&p->heard, part.len);
}

static void play_voice(struct play *p, char *text)
{
    char voice = text[0];
    long times = 1;
    char *rest = text + 1;

    if (*rest == '*')
        times = strtol(rest + 1, &rest, 10);
    bool ends_line = *rest == ':';
    if (!ends_line && *rest != '>')
        fail_at("transcript", "S: S> C:", text);
    rest += rest[1] == ' ' ? 2 : 1;
    for (long i = 0; i < times; i++) {
        if (voice == 'S')
            say(p, rest, ends_line);
        else if (ends_line)
            hear(p, rest);
        else
            hear_part(p, rest);
    }
}

/* --- what came of it */

static const char *const kinds[] = {
    [OUTCOME_DELIVERED] = "delivered",
    [OUTCOME_DEFERRED] = "deferred",
    [OUTCOME_FAILED] = "failed",
    [OUTCOME_UNKNOWN] = "unknown",
};

/* "relayed": delivered, to a host that will report nothing; "reported": to one that may. */
static const char *kind_of(const struct job_result *r, const char *expected)
{
    if (strncmp(expected, "relayed", 7) == 0 && r->kind == OUTCOME_DELIVERED)
        return r->without_dsn ? "relayed" : "reported";
    if (strncmp(expected, "reported", 8) == 0 && r->kind == OUTCOME_DELIVERED)
        return r->without_dsn ? "relayed" : "reported";
    return kinds[r->kind];
}

static void check_result(struct play *p, const char *text)
{
    unsigned number, recipient;
    int used = 0;
    char got[4096];

    if (sscanf(text, "%u.%u %n", &number, &recipient, &used) != 2 || number > p->job_count)
        fail_at("transcript", "R: NUMBER.RECIPIENT ...", text);
    settle(p);
    const struct job_result *r = &p->jobs[number - 1]->results[recipient - 1];
    snprintf(got, sizeof(got), "%s%s%s %s %s", r->state == RECIPIENT_SETTLED ? "" : "open",
             r->state != RECIPIENT_SETTLED && r->is_given ? " " : "",
             r->is_given ? kind_of(r, text + used) : "", r->is_given ? r->status : "",
             r->is_given ? r->reply : "");
    if (!fits(text + used, got))
        fail_at("result", text + used, got);
}

static void check_closed(struct play *p)
{
    settle(p);
    if (!p->hung_up)
        fail_at("client", "closed", "open");
}

static void check_mute(struct play *p)
{
    settle(p);
    if (buf_len(&p->heard) > 0)
        fail_at("client", "nothing", take_heard_line(p) ? p->line : "half a line");
}

static void check_ended(struct play *p, const char *expected)
{
    settle(p);
    if (!p->is_ended || !fits(expected, p->ended))
        fail_at("session", expected, p->is_ended ? p->ended : "not ended");
}

static void hang_up(struct play *p)
{
    settle(p);
    shutdown(p->fd, SHUT_WR);
    settle(p);
}

/* --- one transcript */

static bool has_word(const char *text, const char *word, const char **out_rest)
{
    size_t len = strlen(word);

    *out_rest = text + len + (text[len] == ' ');
    return strncmp(text, word, len) == 0;
}

static void play_line(struct play *p, char *text)
{
    const char *rest;

    text[strcspn(text, "\n")] = '\0';
    if (text[0] == '\0' || text[0] == '#')
        return;
    if (text[0] == '@') {
        take_fact(p, text + 2);
        return;
    }
    if (p->fd < 0)
        open_dialogue(p);
    if (has_word(text, "closed", &rest))
        check_closed(p);
    else if (has_word(text, "hangs up", &rest))
        hang_up(p);
    else if (has_word(text, "mute", &rest))
        check_mute(p);
    else if (has_word(text, "ended:", &rest))
        check_ended(p, rest);
    else if (has_word(text, "R:", &rest))
        check_result(p, rest);
    else if (text[0] == 'S' || text[0] == 'C')
        play_voice(p, text);
    else
        fail_at("transcript", "a voice", text);
}

static void play_open(struct play *p, const char *file)
{
    *p = (struct play){ .file = file, .fd = -1 };
    stage = p;
    source = (struct content_source){ pull, p };
    p->loop = loop_new();
    p->patience = loop_timer_new(p->loop, on_patience, p);
    buf_init(&p->heard, 64 * 1024 * 1024);
}

static void play_close(struct play *p)
{
    dialogue_free(&p->dialogue);
    if (p->tls)
        tls_over(p);
    if (p->fd >= 0) {
        loop_watch_free(&p->watch);
        close(p->fd);
        pass_time(p, "60"); /* a session that says QUIT without an owner ends by itself */
    }
    for (unsigned i = 0; i < p->job_count; i++) {
        job_free(&p->jobs[i]);
        free((void *)(uintptr_t)p->content[i].data);
    }
    loop_timer_free(&p->patience);
    buf_clear(&p->heard);
    loop_free(&p->loop);
}

static void play_transcript(void **state)
{
    struct play p;
    char text[8192];
    FILE *file = fopen(*state, "r");

    assert_non_null(file);
    play_open(&p, *state);
    while (fgets(text, sizeof(text), file)) {
        p.line_number++;
        play_line(&p, text);
    }
    fclose(file);
    if (buf_len(&p.heard) > 0)
        fail_at("end", "nothing more", take_heard_line(&p) ? p.line : "half a line");
    play_close(&p);
}

/* The title: the first line without its "# ". */
static char *title_of(const char *path)
{
    char text[256] = "";
    FILE *file = fopen(path, "r");

    if (!file || !fgets(text, sizeof(text), file) || strncmp(text, "# ", 2) != 0)
        snprintf(text, sizeof(text), "# %s has no title", path);
    if (file)
        fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return memory_copy_text(text + 2);
}

int main(void)
{
    glob_t found;

    signal(SIGPIPE, SIG_IGN);
    if (glob("tests/dialogue/deliver-*.smtp", 0, NULL, &found) != 0) {
        fprintf(stderr, "no transcripts\n");
        return 1;
    }
    struct CMUnitTest *tests = memory_new_array(found.gl_pathc, sizeof(*tests));
    for (size_t i = 0; i < found.gl_pathc; i++)
        tests[i] = (struct CMUnitTest){ title_of(found.gl_pathv[i]), play_transcript, NULL, NULL,
                                        found.gl_pathv[i] };
    int failed = _cmocka_run_group_tests("deliver_dialogue", tests, found.gl_pathc, make_contexts,
                                         free_contexts);
    for (size_t i = 0; i < found.gl_pathc; i++)
        free((void *)(uintptr_t)tests[i].name);
    free(tests);
    globfree(&found);
    return failed;
}
