#include "tests/support/test.h"

#include "lib/base/buf.h"
#include "lib/io/stream.h"
#include "tests/support/throwaway_ca.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MX "mx1.example.net"

struct world;

/* One end: what it heard, and how it takes its input. */
struct side {
    struct world *world;
    struct stream *stream;
    struct buf got; /* all that was used up */
    struct tls_session session;
    unsigned connected;
    unsigned secured;
    unsigned offers; /* calls of input */
    unsigned drained;
    unsigned closed;
    bool closed_with_error;
    enum error_kind closed_kind;
    enum stream_end end;
    char reason[TLS_REASON_SIZE];
    bool calling; /* one of the test's own calls is under way: no callback may come */

    size_t (*use)(struct side *side, struct span input); /* NULL: everything */
    void (*on_secured)(struct side *side);
    void (*on_drained)(struct side *side);
};

struct world {
    struct loop *loop;
    struct loop_timer *stop;
    const unsigned *awaited; /* the loop ends when this counter has come to `least` */
    unsigned least;
    struct side a;
    struct side b;
    struct throwaway_ca *ca;
    struct tls_context *server;
    struct tls_context *client;
};

static void settle(struct side *side)
{
    struct world *w = side->world;

    assert_false(side->calling);
    if (w->awaited && *w->awaited >= w->least)
        loop_stop(w->loop);
}

static void on_connected(void *ctx)
{
    struct side *side = ctx;

    side->connected++;
    settle(side);
}

static void on_secured(void *ctx, const struct tls_session *session)
{
    struct side *side = ctx;

    side->secured++;
    side->session = *session;
    if (side->on_secured)
        side->on_secured(side);
    settle(side);
}

static size_t on_input(void *ctx, struct span input)
{
    struct side *side = ctx;
    size_t used;

    assert_true(input.len > 0);
    side->offers++;
    used = side->use ? side->use(side, input) : input.len;
    assert_true(buf_append(&side->got, span_first(input, used)));
    settle(side);
    return used;
}

static void on_drained(void *ctx)
{
    struct side *side = ctx;

    side->drained++;
    if (side->on_drained)
        side->on_drained(side);
    settle(side);
}

static void on_closed(void *ctx, const struct error *err)
{
    struct side *side = ctx;

    side->closed++;
    side->closed_with_error = err != NULL;
    if (err)
        side->closed_kind = error_kind(err);
    side->end = stream_end(side->stream);
    (void)span_to_string(span_of(stream_tls_reason(side->stream)), side->reason,
                         sizeof(side->reason));
    settle(side);
}

static const struct stream_events events = { on_connected, on_secured, on_input, on_drained,
                                             on_closed };

static void on_stop(void *ctx)
{
    loop_stop(((struct world *)ctx)->loop);
}

static void side_init(struct side *side, struct world *w)
{
    side->world = w;
    buf_init(&side->got, 64U * 1024 * 1024);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    w->loop = loop_new();
    w->stop = loop_timer_new(w->loop, on_stop, w);
    side_init(&w->a, w);
    side_init(&w->b, w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    stream_free(&w->a.stream);
    stream_free(&w->b.stream);
    buf_clear(&w->a.got);
    buf_clear(&w->b.got);
    tls_context_free(&w->server);
    tls_context_free(&w->client);
    throwaway_ca_free(&w->ca);
    loop_timer_free(&w->stop);
    loop_free(&w->loop);
    free(w);
    return 0;
}

static void run_for(struct world *w, int64_t wait_ms)
{
    w->awaited = NULL;
    loop_refresh(w->loop);
    loop_timer_start(w->stop, wait_ms);
    loop_run(w->loop);
}

/* Runs until the counter has come to `least`; that must happen within some seconds. */
static void run_until(struct world *w, const unsigned *counter, unsigned least)
{
    if (*counter >= least)
        return;
    loop_refresh(w->loop);
    loop_timer_start(w->stop, 10000);
    w->awaited = counter;
    w->least = least;
    loop_run(w->loop);
    loop_timer_cancel(w->stop);
    assert_true(*counter >= least);
}

static void sockets(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
}

/* a and b are streams with each other. */
static void join(struct world *w)
{
    int fds[2];

    sockets(fds);
    w->a.stream = stream_open(w->loop, fds[0], &events, &w->a);
    w->b.stream = stream_open(w->loop, fds[1], &events, &w->b);
}

/* a is a stream, the other end a bare descriptor in the test's hands. */
static int join_bare(struct world *w)
{
    int fds[2];

    sockets(fds);
    w->a.stream = stream_open(w->loop, fds[0], &events, &w->a);
    return fds[1];
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void assert_got(struct side *side, const char *text)
{
    assert_true(span_equal(buf_span(&side->got), span_of(text)));
}

static size_t use_line(struct side *side, struct span input)
{
    size_t end = span_find(input, '\n');

    (void)side;
    return end < input.len ? end + 1 : 0;
}

static size_t use_nothing(struct side *side, struct span input)
{
    (void)side;
    (void)input;
    return 0;
}

/* Input */

static void lines_come_one_at_a_time(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);

    w->a.use = use_line;
    say(fd, "one\r\ntwo\r\nthr");
    run_until(w, &w->a.offers, 3);
    assert_got(&w->a, "one\r\ntwo\r\n");
    assert_int_equal(stream_unused(w->a.stream), 3);
    say(fd, "ee");
    run_until(w, &w->a.offers, 4);
    assert_int_equal(stream_unused(w->a.stream), 5);
    say(fd, "\r\nfour\r\n");
    run_until(w, &w->a.offers, 6);
    assert_got(&w->a, "one\r\ntwo\r\nthree\r\nfour\r\n");
    assert_int_equal(stream_unused(w->a.stream), 0);
    close(fd);
    run_until(w, &w->a.closed, 1);
    assert_false(w->a.closed_with_error);
    assert_int_equal(w->a.end, STREAM_END_PEER);
    run_for(w, 10);
    assert_int_equal(w->a.closed, 1);
}

static void unused_input_at_the_limit_may_wait_and_one_more_may_not(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);

    w->a.use = use_nothing;
    stream_input_limit(w->a.stream, 10);
    say(fd, "0123456789");
    run_for(w, 10);
    assert_int_equal(w->a.closed, 0);
    assert_int_equal(stream_unused(w->a.stream), 10);
    say(fd, "x");
    run_until(w, &w->a.closed, 1);
    assert_int_equal(w->a.end, STREAM_END_OVERFLOW);
    assert_true(w->a.closed_with_error);
    close(fd);
}

static void limit_counts_what_is_left_not_what_comes(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);

    w->a.use = use_line;
    stream_input_limit(w->a.stream, 10);
    say(fd, "first line\r\nsecond line\r\nthird line\r\n0123456789");
    run_until(w, &w->a.offers, 4);
    run_for(w, 5);
    assert_int_equal(w->a.closed, 0);
    close(fd);
}

static size_t use_and_pause(struct side *side, struct span input)
{
    stream_pause(side->stream);
    return use_line(side, input);
}

static void paused_stream_reads_no_more_until_resumed(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);

    w->a.use = use_and_pause;
    stream_input_limit(w->a.stream, 4); /* a pause is no overflow */
    say(fd, "one\r\ntwo\r\n");
    run_until(w, &w->a.offers, 1);
    say(fd, "three\r\n");
    run_for(w, 20);
    assert_int_equal(w->a.offers, 1);
    assert_got(&w->a, "one\r\n");
    assert_int_equal(stream_unused(w->a.stream), 5);
    w->a.calling = true;
    stream_resume(w->a.stream);
    w->a.calling = false;
    run_until(w, &w->a.offers, 2);
    assert_got(&w->a, "one\r\ntwo\r\n");
    stream_resume(w->a.stream);
    run_until(w, &w->a.offers, 3);
    assert_got(&w->a, "one\r\ntwo\r\nthree\r\n");
    close(fd);
}

static size_t free_in_input(struct side *side, struct span input)
{
    stream_free(&side->stream);
    return input.len;
}

static size_t finish_in_input(struct side *side, struct span input)
{
    assert_true(stream_printf(side->stream, "%d %s\r\n", 221, "bye"));
    stream_finish(&side->stream, 1000);
    return use_line(side, input);
}

static void stream_may_be_freed_in_its_callbacks(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);

    w->a.use = free_in_input;
    say(fd, "one\r\ntwo\r\n");
    run_until(w, &w->a.offers, 1);
    assert_null(w->a.stream);
    run_for(w, 10);
    assert_int_equal(w->a.offers, 1);
    assert_int_equal(w->a.closed, 0);
    close(fd);
}

static void free_in_drained(struct side *side)
{
    stream_free(&side->stream);
}

static void stream_may_be_freed_when_drained(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);

    w->a.on_drained = free_in_drained;
    stream_write(w->a.stream, SPAN("last words"));
    run_until(w, &w->a.drained, 1);
    assert_null(w->a.stream);
    close(fd);
}

/* Output */

static void all_writes_of_a_turn_leave_together(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);
    char text[64] = "";

    w->a.calling = true;
    stream_write(w->a.stream, SPAN("MAIL\r\n"));
    stream_write(w->a.stream, SPAN("RCPT\r\n"));
    assert_true(stream_printf(w->a.stream, "%s\r\n", "DATA"));
    w->a.calling = false;
    assert_int_equal(stream_pending(w->a.stream), 18);
    assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), -1);
    run_until(w, &w->a.drained, 1);
    assert_int_equal(stream_pending(w->a.stream), 0);
    assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 18);
    assert_string_equal(text, "MAIL\r\nRCPT\r\nDATA\r\n");
    close(fd);
}

enum { LARGE = 3 * 1024 * 1024 };

static char large_byte(size_t at)
{
    return (char)('a' + at * 7 % 26 % (at / 1000 + 2));
}

static void write_large(struct stream *stream)
{
    static char large[LARGE];

    for (size_t i = 0; i < LARGE; i++)
        large[i] = large_byte(i);
    stream_write(stream, (struct span){ large, LARGE });
}

static void assert_got_large(struct side *side)
{
    struct span got = buf_span(&side->got);

    assert_int_equal(got.len, LARGE);
    for (size_t i = 0; i < LARGE; i++)
        if (got.data[i] != large_byte(i))
            fail_msg("byte %zu differs", i);
}

static void read_all(struct world *w, int fd)
{
    char room[65536];

    while (recv(fd, room, sizeof(room), MSG_DONTWAIT) > 0 || stream_pending(w->a.stream) > 0)
        run_for(w, 0);
}

static void drained_comes_once_at_the_low_mark(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);

    stream_low_mark(w->a.stream, 100000);
    stream_write(w->a.stream, SPAN("below the mark"));
    run_for(w, 5);
    assert_int_equal(w->a.drained, 0);
    write_large(w->a.stream);
    run_for(w, 20);
    assert_int_equal(w->a.drained, 0);
    assert_true(stream_pending(w->a.stream) > 100000);
    read_all(w, fd);
    assert_int_equal(w->a.drained, 1);
    close(fd);
}

static size_t use_slowly(struct side *side, struct span input)
{
    stream_pause(side->stream);
    if (side->offers % 3 == 0)
        return input.len / 2;
    return input.len;
}

static void until_large(struct world *w, struct side *side)
{
    while (buf_len(&side->got) < LARGE && !side->closed) {
        unsigned offers = side->offers;
        stream_resume(side->stream);
        run_until(w, &side->offers, offers + 1);
    }
}

static void back_pressure_loses_no_byte(void **state)
{
    struct world *w = *state;

    join(w);
    w->b.use = use_slowly;
    write_large(w->a.stream);
    until_large(w, &w->b);
    assert_got_large(&w->b);
}

/* Endings */

static void deadline_is_absolute(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);

    stream_deadline(w->a.stream, 80);
    for (int i = 0; i < 3; i++) {
        say(fd, "x");
        run_for(w, 15);
    }
    assert_int_equal(w->a.closed, 0);
    run_until(w, &w->a.closed, 1);
    assert_int_equal(w->a.end, STREAM_END_TIMEOUT);
    assert_int_equal(w->a.closed_kind, ERROR_TRANSIENT);
    close(fd);
}

static void deadline_may_be_moved_both_ways(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);

    stream_deadline(w->a.stream, 10);
    stream_deadline(w->a.stream, 100000);
    run_for(w, 40);
    assert_int_equal(w->a.closed, 0);
    stream_deadline(w->a.stream, 5);
    stream_deadline(w->a.stream, -1);
    run_for(w, 40);
    assert_int_equal(w->a.closed, 0);
    stream_deadline(w->a.stream, 20);
    run_until(w, &w->a.closed, 1);
    assert_int_equal(w->a.end, STREAM_END_TIMEOUT);
    close(fd);
}

static void last_words_of_a_peer_that_hung_up_are_heard(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);

    say(fd, "421 too busy\r\n");
    close(fd);
    stream_write(w->a.stream, SPAN("EHLO client.example\r\n"));
    run_until(w, &w->a.closed, 1);
    assert_got(&w->a, "421 too busy\r\n");
    assert_true(w->a.closed_with_error);
    assert_int_equal(w->a.end, STREAM_END_ERROR);
}

static void finish_sends_what_is_left(void **state)
{
    struct world *w = *state;

    join(w);
    w->a.use = finish_in_input;
    stream_write(w->b.stream, SPAN("QUIT\r\n"));
    run_until(w, &w->b.closed, 1);
    assert_null(w->a.stream);
    assert_got(&w->b, "221 bye\r\n");
    assert_false(w->b.closed_with_error);
    assert_int_equal(w->a.closed, 0);
}

/* TCP: closing with unread input would send a reset, and the 221 would be lost. */
static void connected_pair(struct world *w);

static void finish_lingers_until_the_peer_has_heard(void **state)
{
    struct world *w = *state;

    connected_pair(w);
    w->a.use = finish_in_input;
    stream_write(w->b.stream, SPAN("DATA that nobody wants\r\n"));
    write_large(w->b.stream);
    run_until(w, &w->b.offers, 1);
    assert_got(&w->b, "221 bye\r\n");
    run_until(w, &w->b.closed, 1);
    stream_free(&w->b.stream);
    run_for(w, 10);
    assert_null(w->a.stream);
}

static void finish_gives_up_in_time(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);
    struct pollfd ended = { .fd = fd, .events = POLLRDHUP };

    write_large(w->a.stream);
    int64_t begun = loop_now(w->loop);
    stream_finish(&w->a.stream, 30);
    assert_null(w->a.stream);
    while (poll(&ended, 1, 0) == 0 && loop_now(w->loop) - begun < 5000)
        run_for(w, 5);
    assert_int_equal(poll(&ended, 1, 0), 1);
    assert_true(loop_now(w->loop) - begun >= 30); /* and no sooner */
    assert_int_equal(w->a.closed, 0);
    close(fd);
}

/* Connecting */

static struct endpoint loopback(uint16_t port)
{
    struct endpoint e;

    assert_true(endpoint_parse(SPAN("127.0.0.1"), 1, &e));
    e.port = port;
    return e;
}

static int listening(struct endpoint *out)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct endpoint any = loopback(0);
    struct sockaddr_storage address;
    socklen_t len = endpoint_to_sockaddr(&any, &address);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 5), 0);
    len = sizeof(address);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    assert_true(endpoint_from_sockaddr((struct sockaddr *)&address, out));
    return fd;
}

static void connected_pair(struct world *w)
{
    struct endpoint where;
    int listener = listening(&where);

    w->b.calling = true;
    w->b.stream = stream_connect(w->loop, &where, NULL, &events, &w->b);
    stream_write(w->b.stream, SPAN("early\r\n")); /* kept until there is a connection */
    w->b.calling = false;
    run_until(w, &w->b.connected, 1);
    w->a.stream = stream_open(w->loop, accept(listener, NULL, NULL), &events, &w->a);
    close(listener);
}

static void connection_knows_both_its_ends(void **state)
{
    struct world *w = *state;
    struct endpoint here;
    struct endpoint there;

    connected_pair(w);
    assert_true(stream_remote(w->b.stream, &there));
    assert_true(stream_local(w->a.stream, &here));
    assert_int_equal(here.port, there.port);
    assert_true(ip_address_equal(&here.address, &there.address));
    run_until(w, &w->a.offers, 1);
    stream_write(w->b.stream, SPAN("hello\r\n"));
    run_until(w, &w->a.offers, 2);
    assert_got(&w->a, "early\r\nhello\r\n");
}

static void connection_begins_where_it_is_told(void **state)
{
    struct world *w = *state;
    struct ip_address local;
    struct endpoint where;
    struct endpoint here;
    int listener = listening(&where);

    assert_true(ip_address_parse(SPAN("127.0.0.77"), &local));
    w->b.stream = stream_connect(w->loop, &where, &local, &events, &w->b);
    run_until(w, &w->b.connected, 1);
    assert_true(stream_local(w->b.stream, &here));
    assert_true(ip_address_equal(&here.address, &local));
    close(listener);
}

static void refused_connection_is_told_later(void **state)
{
    struct world *w = *state;
    struct endpoint where;

    close(listening(&where));
    w->b.calling = true;
    w->b.stream = stream_connect(w->loop, &where, NULL, &events, &w->b);
    w->b.calling = false;
    run_until(w, &w->b.closed, 1);
    assert_int_equal(w->b.end, STREAM_END_REFUSED);
    assert_int_equal(w->b.closed_kind, ERROR_TRANSIENT);
    assert_int_equal(w->b.connected, 0);
}

static void address_that_is_not_ours_is_our_own_trouble(void **state)
{
    struct world *w = *state;
    struct ip_address local;
    struct endpoint where = loopback(9);

    assert_true(ip_address_parse(SPAN("192.0.2.77"), &local));
    w->b.calling = true;
    w->b.stream = stream_connect(w->loop, &where, &local, &events, &w->b);
    stream_deadline(w->b.stream, 1000);
    w->b.calling = false;
    run_until(w, &w->b.closed, 1);
    assert_int_equal(w->b.end, STREAM_END_REFUSED);
    assert_int_equal(w->b.closed_kind, ERROR_LOCAL);
    stream_finish(&w->b.stream, 1000);
    assert_null(w->b.stream);
}

/* TLS */

static void make_contexts(struct world *w)
{
    struct leaf_wish wish = { .names = (const char *const[]){ "DNS:" MX, NULL } };
    struct tls_trust *trust = NULL;
    char *ca;
    char *pem;
    char *key;

    w->ca = throwaway_ca_new("Throwaway CA");
    ca = throwaway_ca_pem(w->ca);
    throwaway_leaf(w->ca, &wish, &pem, &key);
    assert_null(tls_trust_new(span_of(ca), &trust));
    assert_null(tls_client_context_new(trust, TLS_FLOOR_STRICT, &w->client));
    assert_null(throwaway_server(span_of(pem), span_of(key), &w->server));
    tls_trust_free(&trust); /* the context keeps what it needs */
    free(ca);
    free(pem);
    free(key);
}

static size_t server_starttls(struct side *side, struct span input)
{
    size_t used = use_line(side, input);

    if (used == 0 || stream_is_secure(side->stream))
        return used;
    stream_write(side->stream, SPAN("220 go ahead\r\n"));
    stream_secure_server(side->stream, side->world->server);
    return used;
}

static size_t client_starttls(struct side *side, struct span input)
{
    size_t used = use_line(side, input);

    if (used > 0 && !stream_is_secure(side->stream))
        stream_secure_client(side->stream, side->world->client, MX);
    return used;
}

static void starttls(struct world *w)
{
    make_contexts(w);
    w->a.use = client_starttls;
    w->b.use = server_starttls;
    stream_write(w->a.stream, SPAN("STARTTLS\r\n"));
    run_until(w, &w->a.secured, 1);
    run_until(w, &w->b.secured, 1);
}

static void starttls_secures_both_ways(void **state)
{
    struct world *w = *state;

    join(w);
    starttls(w);
    assert_int_equal(w->a.session.cert, CERT_OK);
    assert_int_equal(w->b.session.cert, CERT_NONE);
    assert_string_equal(w->a.session.version, "TLSv1.3");
    assert_true(stream_is_secure(w->a.stream));
    assert_int_equal(stream_unused(w->a.stream), 0);
    stream_write(w->a.stream, SPAN("EHLO again\r\n"));
    run_until(w, &w->b.offers, 2);
    assert_got(&w->b, "STARTTLS\r\nEHLO again\r\n");
    stream_write(w->b.stream, SPAN("250 hello\r\n"));
    run_until(w, &w->a.offers, 2);
    assert_got(&w->a, "220 go ahead\r\n250 hello\r\n");
}

static void large_things_pass_through_tls(void **state)
{
    struct world *w = *state;

    join(w);
    starttls(w);
    buf_reset(&w->a.got);
    buf_reset(&w->b.got);
    w->a.use = use_slowly;
    w->b.use = use_slowly;
    write_large(w->a.stream);
    write_large(w->b.stream);
    until_large(w, &w->b);
    until_large(w, &w->a);
    assert_got_large(&w->a);
    assert_got_large(&w->b);
}

static size_t server_starttls_and_inject(struct side *side, struct span input)
{
    stream_write(side->stream, SPAN("220 go ahead\r\n250 injected\r\n"));
    stream_secure_server(side->stream, side->world->server);
    return input.len;
}

static void clear_bytes_never_cross_into_tls(void **state)
{
    struct world *w = *state;

    join(w);
    make_contexts(w);
    w->a.use = client_starttls;
    w->b.use = server_starttls_and_inject;
    stream_write(w->a.stream, SPAN("STARTTLS\r\n"));
    run_until(w, &w->a.secured, 1);
    run_for(w, 10);
    assert_got(&w->a, "220 go ahead\r\n");
    assert_int_equal(stream_unused(w->a.stream), 0);
}

static void clear_bytes_in_the_kernel_break_the_handshake(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);

    make_contexts(w);
    w->a.use = server_starttls;
    say(fd, "STARTTLS\r\n");
    run_until(w, &w->a.drained, 1);
    say(fd, "MAIL FROM:<eve@example.org>\r\n");
    run_until(w, &w->a.closed, 1);
    assert_int_equal(w->a.end, STREAM_END_TLS);
    assert_true(strlen(w->a.reason) > 0);
    assert_int_equal(w->a.offers, 1);
    assert_int_equal(w->a.secured, 0);
    close(fd);
}

static void failed_handshake_has_a_name(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);

    make_contexts(w);
    stream_secure_client(w->a.stream, w->client, MX);
    say(fd, "454 TLS not available\r\n");
    run_until(w, &w->a.closed, 1);
    assert_int_equal(w->a.end, STREAM_END_TLS);
    assert_int_equal(w->a.closed_kind, ERROR_TRANSIENT);
    assert_string_equal(w->a.reason, "SSL_R_WRONG_VERSION_NUMBER");
    close(fd);
}

static void peer_that_leaves_in_the_handshake_has_a_name_too(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);

    make_contexts(w);
    stream_secure_client(w->a.stream, w->client, MX);
    run_for(w, 5);
    close(fd);
    run_until(w, &w->a.closed, 1);
    assert_int_equal(w->a.end, STREAM_END_TLS);
    assert_true(strlen(w->a.reason) > 0);
}

static void silent_handshake_ends_at_its_deadline(void **state)
{
    struct world *w = *state;
    int fd = join_bare(w);

    make_contexts(w);
    stream_secure_client(w->a.stream, w->client, MX);
    stream_deadline(w->a.stream, 20);
    run_until(w, &w->a.closed, 1);
    assert_int_equal(w->a.end, STREAM_END_TIMEOUT);
    close(fd);
}

static void written_during_the_handshake_is_sent_in_tls(void **state)
{
    struct world *w = *state;

    join(w);
    make_contexts(w);
    stream_write(w->b.stream, SPAN("220 go ahead\r\n"));
    stream_secure_server(w->b.stream, w->server);
    stream_write(w->b.stream, SPAN("421 closing\r\n"));
    w->a.use = client_starttls;
    run_until(w, &w->a.offers, 2);
    assert_int_equal(w->a.secured, 1);
    assert_got(&w->a, "220 go ahead\r\n421 closing\r\n");
}

static void tls_is_closed_in_good_order_by_finish(void **state)
{
    struct world *w = *state;

    join(w);
    starttls(w);
    stream_write(w->b.stream, SPAN("221 bye\r\n"));
    stream_finish(&w->b.stream, 1000);
    run_until(w, &w->a.closed, 1);
    assert_got(&w->a, "220 go ahead\r\n221 bye\r\n");
    assert_false(w->a.closed_with_error);
    assert_int_equal(w->a.end, STREAM_END_PEER);
}

static void tls_that_is_cut_is_an_end_with_an_error(void **state)
{
    struct world *w = *state;

    join(w);
    starttls(w);
    stream_free(&w->b.stream);
    run_until(w, &w->a.closed, 1);
    assert_true(w->a.closed_with_error);
    assert_int_equal(w->a.end, STREAM_END_PEER);
}

static void free_when_secured(struct side *side)
{
    stream_free(&side->stream);
}

static void stream_may_be_freed_when_secured(void **state)
{
    struct world *w = *state;

    join(w);
    make_contexts(w);
    w->a.use = client_starttls;
    w->b.use = server_starttls;
    w->a.on_secured = free_when_secured;
    stream_write(w->a.stream, SPAN("STARTTLS\r\n"));
    run_until(w, &w->b.closed, 1);
    assert_null(w->a.stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(title, function) { title, function, setup, teardown, NULL }
        TEST("lines come one at a time, half a line waits", lines_come_one_at_a_time),
        TEST("unused input at the limit may wait, one byte more may not",
             unused_input_at_the_limit_may_wait_and_one_more_may_not),
        TEST("the limit counts what is left, not what comes",
             limit_counts_what_is_left_not_what_comes),
        TEST("a paused stream reads no more until it is resumed",
             paused_stream_reads_no_more_until_resumed),
        TEST("a stream may be freed in its callbacks", stream_may_be_freed_in_its_callbacks),
        TEST("a stream may be freed when drained", stream_may_be_freed_when_drained),
        TEST("all writes of a turn leave together at its end", all_writes_of_a_turn_leave_together),
        TEST("drained comes once, at the low mark", drained_comes_once_at_the_low_mark),
        TEST("back-pressure loses no byte", back_pressure_loses_no_byte),
        TEST("a deadline is absolute: bytes do not move it", deadline_is_absolute),
        TEST("a deadline may be moved both ways", deadline_may_be_moved_both_ways),
        TEST("the last words of a peer that hung up are heard",
             last_words_of_a_peer_that_hung_up_are_heard),
        TEST("finish sends what is left", finish_sends_what_is_left),
        TEST("finish lingers until the peer has heard", finish_lingers_until_the_peer_has_heard),
        TEST("finish gives up in time", finish_gives_up_in_time),
        TEST("a connection knows both its ends", connection_knows_both_its_ends),
        TEST("a connection begins where it is told", connection_begins_where_it_is_told),
        TEST("a refused connection is told later", refused_connection_is_told_later),
        TEST("an address that is not ours is our own trouble",
             address_that_is_not_ours_is_our_own_trouble),
        TEST("STARTTLS secures both ways", starttls_secures_both_ways),
        TEST("large things pass through TLS", large_things_pass_through_tls),
        TEST("clear bytes never cross into TLS (RFC 3207 s.4.2)", clear_bytes_never_cross_into_tls),
        TEST("clear bytes still in the kernel break the handshake",
             clear_bytes_in_the_kernel_break_the_handshake),
        TEST("a failed handshake has a name", failed_handshake_has_a_name),
        TEST("a peer that leaves in the handshake has a name too",
             peer_that_leaves_in_the_handshake_has_a_name_too),
        TEST("a silent handshake ends at its deadline", silent_handshake_ends_at_its_deadline),
        TEST("what is written during the handshake is sent in TLS",
             written_during_the_handshake_is_sent_in_tls),
        TEST("finish closes TLS in good order", tls_is_closed_in_good_order_by_finish),
        TEST("TLS that is cut is an end with an error", tls_that_is_cut_is_an_end_with_an_error),
        TEST("a stream may be freed when secured", stream_may_be_freed_when_secured),
    };

    alarm(120);
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
