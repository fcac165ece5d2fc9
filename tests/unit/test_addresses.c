#include "tests/support/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/io/addresses.h"
#include "tests/support/settings_text.h"

/*
 * A name server of ours, in a process of its own, answers by what a name begins with, for each
 * family: "g" a good address, "i" an internal one, "n" none, "x" no such name, "f" SERVFAIL, "s"
 * nothing at all.  "gs.example.net" has an A record, and its AAAA is never answered.
 */
enum { HEADER = 12, TYPE_A = 1, TYPE_AAAA = 28 };

struct world {
    struct loop *loop;
    struct resolver *resolver;
    pid_t server;
    int fd;
    enum address_verdict verdict;
    struct ip_address list[MX_ADDRESSES_MAX];
    unsigned count;
    char reason[100];
    int64_t took_ms;
};

static size_t put_address(unsigned char *reply, size_t at, bool v6, bool internal)
{
    static const unsigned char good4[] = { 8, 8, 4, 4 }, internal4[] = { 10, 0, 0, 1 };
    static const unsigned char good6[16] = { 0x26, 0x06, 0x47, 0, [15] = 1 };
    static const unsigned char internal6[16] = { 0xfd, [15] = 1 };
    const unsigned char head[] = { 0xc0, HEADER, 0,          v6 ? TYPE_AAAA : TYPE_A, 0, 1, 0, 0, 0,
                                   60,   0,      v6 ? 16 : 4 };
    const unsigned char *address =
        v6 ? (internal ? internal6 : good6) : (internal ? internal4 : good4);

    memcpy(reply + at, head, sizeof(head));
    memcpy(reply + at + sizeof(head), address, v6 ? 16 : 4);
    reply[7] = 1;
    return at + sizeof(head) + (v6 ? 16 : 4);
}

/* 0: silence. */
static size_t answer(const unsigned char *query, unsigned char *reply)
{
    size_t at = HEADER;

    while (query[at] != 0)
        at += query[at] + 1U;
    bool v6 = query[at + 2] == TYPE_AAAA;
    char how = (char)(query[HEADER + (v6 ? 2 : 1)] | 0x20);
    at += 5;
    memcpy(reply, query, at);
    memset(reply + 6, 0, 6);
    reply[2] = 0x81;
    reply[3] = how == 'f' ? 0x82 : how == 'x' ? 0x83 : 0x80;
    if (how == 's')
        return 0;
    return how == 'g' || how == 'i' ? put_address(reply, at, v6, how == 'i') : at;
}

static void serve(int fd)
{
    unsigned char query[2048], reply[2048];
    struct sockaddr_storage from;

    for (;;) {
        socklen_t from_len = sizeof(from);
        if (recvfrom(fd, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len) < HEADER)
            continue;
        size_t size = answer(query, reply);
        if (size > 0)
            sendto(fd, reply, size, 0, (struct sockaddr *)&from, from_len);
    }
}

static int open_world(void **state)
{
    static struct world w;
    struct sockaddr_storage sa;
    struct endpoint at = { .port = 0 };
    socklen_t len;

    w = (struct world){ .loop = loop_new() };
    assert_true(ip_address_parse(SPAN("127.0.0.1"), &at.address));
    len = endpoint_to_sockaddr(&at, &sa);
    w.fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(w.fd, (struct sockaddr *)&sa, len), 0);
    len = sizeof(sa);
    assert_int_equal(getsockname(w.fd, (struct sockaddr *)&sa, &len), 0);
    assert_true(endpoint_from_sockaddr((struct sockaddr *)&sa, &at));
    w.server = fork();
    if (w.server == 0)
        serve(w.fd);
    assert_null(resolver_new(w.loop, &at, 1, true, &w.resolver));
    *state = &w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    kill(w->server, SIGKILL);
    waitpid(w->server, NULL, 0);
    close(w->fd);
    resolver_free(&w->resolver);
    loop_free(&w->loop);
    return 0;
}

static void on_done(void *ctx, const struct addresses *found)
{
    struct world *w = ctx;

    w->verdict = found->verdict;
    w->count = found->count;
    memcpy(w->list, found->list, sizeof(w->list));
    assert_true(span_to_string(span_of(found->reason), w->reason, sizeof(w->reason)));
    loop_stop(w->loop);
}

static void ask_with(struct world *w, const char *name, const struct address_filter *filter)
{
    int64_t begun = clock_monotonic_ms();

    addresses_ask(w->loop, w->resolver, name, filter, on_done, w);
    loop_run(w->loop);
    w->took_ms = clock_monotonic_ms() - begun;
}

static void ask(struct world *w, const char *name)
{
    const struct address_filter filter = { .allow_count = 0 };

    ask_with(w, name, &filter);
}

static void both_families_are_used_ipv6_first(void **state)
{
    struct world *w = *state;

    ask(w, "gg.example.net");
    assert_int_equal(w->verdict, ADDRESSES_FOUND);
    assert_int_equal(w->count, 2);
    assert_int_equal(w->list[0].family, ADDRESS_V6);
    assert_int_equal(w->list[1].family, ADDRESS_V4);
}

static void one_family_failing_leaves_the_other(void **state)
{
    static const char *const names[] = { "gf.example.net", "fg.example.net", "gx.example.net",
                                         "ng.example.net", "ig.example.net", "gi.example.net" };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ask(w, names[i]);
        assert_int_equal(w->verdict, ADDRESSES_FOUND);
        assert_int_equal(w->count, 1);
        assert_int_equal(w->list[0].family, names[i][0] == 'g' ? ADDRESS_V4 : ADDRESS_V6);
        assert_true(w->took_ms < 250);
    }
}

static void a_late_family_holds_up_nobody(void **state)
{
    static const char *const names[] = { "gs.example.net", "sg.example.net" };
    struct world *w = *state;

    for (size_t i = 0; i < 2; i++) {
        ask(w, names[i]);
        assert_int_equal(w->verdict, ADDRESSES_FOUND);
        assert_int_equal(w->count, 1);
        assert_true(w->took_ms >= 290 && w->took_ms < 1200);
    }
}

static void without_an_address_the_reason_is_told(void **state)
{
    static const struct {
        const char *name;
        enum address_verdict verdict;
    } cases[] = {
        { "nn.example.net", ADDRESSES_NONE },     { "xx.example.net", ADDRESSES_NONE },
        { "nf.example.net", ADDRESSES_TEMPFAIL }, { "ff.example.net", ADDRESSES_TEMPFAIL },
        { "if.example.net", ADDRESSES_TEMPFAIL }, { "ii.example.net", ADDRESSES_REFUSED },
        { "ni.example.net", ADDRESSES_REFUSED },
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(w, cases[i].name);
        assert_int_equal(w->verdict, cases[i].verdict);
        assert_int_equal(w->count, 0);
        if (cases[i].verdict == ADDRESSES_TEMPFAIL)
            assert_non_null(strstr(w->reason, "SERVFAIL"));
    }
}

static void a_question_taken_back_is_never_answered(void **state)
{
    struct world *w = *state;
    const struct address_filter filter = { .allow_count = 0 };
    struct address_query *query =
        addresses_ask(w->loop, w->resolver, "gs.example.net", &filter, on_done, w);

    addresses_cancel(&query);
    assert_null(query);
    w->count = 77;
    ask(w, "nn.example.net");
    assert_int_equal(w->count, 0);
    addresses_cancel(&query);
}

static void a_host_that_leads_to_a_listener_of_ours_is_a_loop(void **state)
{
    struct world *w = *state;
    struct settings *s = settings_of("listeners = ( { address = [ \"8.8.4.4:25\","
                                     " \"[fd00::1]:25\" ]; } );");
    struct network inside;
    struct address_filter filter = { .listeners = s, .port = 25 };
    struct ip_address address;

    ask_with(w, "ng.example.net", &filter);
    assert_int_equal(w->verdict, ADDRESSES_FOUND);
    ask_with(w, "gg.example.net", &filter);
    assert_int_equal(w->verdict, ADDRESSES_OWN);
    assert_int_equal(w->count, 0);
    ask_with(w, "gi.example.net", &filter);
    assert_int_equal(w->verdict, ADDRESSES_OWN);
    ask_with(w, "ni.example.net", &filter);
    assert_int_equal(w->verdict, ADDRESSES_REFUSED); /* never connected to: no loop */
    assert_true(network_parse(SPAN("fd00::/8"), &inside));
    filter.allow = &inside;
    filter.allow_count = 1;
    ask_with(w, "ni.example.net", &filter);
    assert_int_equal(w->verdict, ADDRESSES_OWN);
    assert_true(ip_address_parse(SPAN("8.8.4.4"), &address));
    assert_int_equal(address_judge(&address, &filter), ADDRESSES_OWN);
    filter.port = 587; /* who serves that port there is somebody else */
    assert_int_equal(address_judge(&address, &filter), ADDRESSES_FOUND);
    ask_with(w, "gg.example.net", &filter);
    assert_int_equal(w->verdict, ADDRESSES_FOUND);
    free(s);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        title, function, open_world, close_world, NULL                                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("both families are asked for and used, IPv6 first", both_families_are_used_ipv6_first),
        T("one family that fails leaves the other", one_family_failing_leaves_the_other),
        T("a family that is late holds up nobody for longer than 300 ms",
          a_late_family_holds_up_nobody),
        T("without an address the reason is told", without_an_address_the_reason_is_told),
        T("a host that leads to a listener of ours is a loop, unless it is refused anyway",
          a_host_that_leads_to_a_listener_of_ours_is_a_loop),
        T("a question taken back is never answered", a_question_taken_back_is_never_answered),
    };

    return cmocka_run_group_tests_name("addresses", tests, NULL, NULL);
}
