#include "lib/io/host_lookup.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/dns_build.h"
#include "tests/support/test.h"

/*
 * A validating name server of ours, in a process of its own, that knows what stands in this table;
 * of all else it says, securely, that there is nothing.
 */
enum { SECURE = 0x81a0, INSECURE = 0x8180, FAILS = 0x8182, HEADER = 12, FLAG_NXDOMAIN = 3 };

static const struct known {
    const char *name;
    unsigned type;
    unsigned flags;
    const char *alias;
    const char *tlsa; /* "u" usable, "n" not; one letter a record */
} known[] = {
    { "plain.test", DNS_A, SECURE, NULL, NULL },
    { "_25._tcp.plain.test", DNS_TLSA, SECURE, NULL, "nu" },
    { "_587._tcp.plain.test", DNS_TLSA, SECURE, NULL, "n" },
    { "weak.test", DNS_A, SECURE, NULL, NULL },
    { "_25._tcp.weak.test", DNS_TLSA, SECURE, NULL, "nn" },
    { "open.test", DNS_A, INSECURE, NULL, NULL },
    { "_25._tcp.open.test", DNS_TLSA, FAILS, NULL, NULL },
    { "half.test", DNS_A, SECURE, NULL, NULL },
    { "half.test", DNS_AAAA, INSECURE, NULL, NULL },
    { "_25._tcp.half.test", DNS_TLSA, SECURE, NULL, "u" },
    { "dark.test", DNS_A, SECURE, NULL, NULL },
    { "_25._tcp.dark.test", DNS_TLSA, FAILS, NULL, NULL },
    { "none.test", DNS_A, SECURE, NULL, NULL },
    { "nowhere.test", DNS_A, FAILS, NULL, NULL },
    { "nowhere.test", DNS_AAAA, FAILS, NULL, NULL },
    { "alias.test", DNS_A, SECURE, "end.test", NULL },
    { "_25._tcp.end.test", DNS_TLSA, SECURE, NULL, "u" },
    { "_25._tcp.alias.test", DNS_TLSA, SECURE, NULL, "n" },
    { "out.test", DNS_A, INSECURE, "unsigned.example", NULL },
    { "out.test", DNS_CNAME, SECURE, "unsigned.example", NULL },
    { "_25._tcp.out.test", DNS_TLSA, SECURE, NULL, "u" },
    { "lost.test", DNS_A, INSECURE, "unsigned.example", NULL },
    { "lost.test", DNS_CNAME, FAILS, NULL, NULL },
    { "moved.test", DNS_A, SECURE, NULL, NULL },
    { "_25._tcp.moved.test", DNS_TLSA, SECURE, "tlsa201._dane.test", "u" },
};

static void build_data(struct dns_build *b, const char *owner, const struct known *k)
{
    static const unsigned char address[] = { 8, 8, 4, 4, [15] = 1 };

    if (k->type == DNS_A || k->type == DNS_AAAA) {
        build_record(b, SECTION_ANSWER, owner, k->type, 60);
        build_u8(b, k->type == DNS_AAAA ? 0x26 : 8);
        build_bytes(b, address + 1, k->type == DNS_AAAA ? 15 : 3);
        build_end(b);
    }
    for (const char *letter = k->tlsa; letter && *letter; letter++) {
        build_record(b, SECTION_ANSWER, owner, DNS_TLSA, 77);
        build_u8(b, *letter == 'u' ? 3 : 0);
        build_u8(b, 1);
        build_u8(b, 1);
        for (int i = 0; i < 32; i++)
            build_u8(b, 0x40 + (unsigned)i);
        build_end(b);
    }
}

static void build_answer(struct dns_build *b, const char *name, unsigned type)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const struct known *k = &known[i];
        if (strcmp(k->name, name) != 0 || k->type != type)
            continue;
        build_start(b, k->flags, name, type);
        if (k->alias)
            build_cname(b, name, 60, k->alias);
        if (k->flags != FAILS && k->type != DNS_CNAME)
            build_data(b, k->alias ? k->alias : name, k);
        return;
    }
    build_start(b, SECURE | FLAG_NXDOMAIN, name, type);
    build_soa(b, "test", 60, 60);
}

/* The name as text; gives the type. */
static unsigned read_question(const unsigned char *query, char name[256])
{
    size_t at = HEADER, len = 0;

    while (query[at] != 0) {
        memcpy(name + len, query + at + 1, query[at]);
        len += query[at];
        at += query[at] + 1U;
        name[len++] = '.';
    }
    name[len > 0 ? len - 1 : 0] = '\0';
    for (size_t i = 0; name[i]; i++)
        name[i] = ascii_lower(name[i]);
    return (unsigned)query[at + 1] << 8 | query[at + 2];
}

static void serve(int fd, int asked)
{
    static struct dns_build b;
    unsigned char query[2048];
    struct sockaddr_storage from;
    char name[256];

    for (;;) {
        socklen_t from_len = sizeof(from);
        if (recvfrom(fd, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len) < HEADER)
            continue;
        unsigned type = read_question(query, name);
        if (type == DNS_TLSA || type == DNS_CNAME)
            dprintf(asked, "%s ", name);
        build_answer(&b, name, type);
        memcpy(b.wire, query, 2);
        /* the question as it came: whoever asked looks at the case of its letters, too */
        size_t end = HEADER;
        while (query[end] != 0)
            end += query[end] + 1U;
        memcpy(b.wire + HEADER, query + HEADER, end - HEADER);
        sendto(fd, b.wire, b.len, 0, (struct sockaddr *)&from, from_len);
    }
}

/* --- the world */

struct world {
    struct loop *loop;
    struct resolver *resolver;
    pid_t server;
    int fd;
    int asked[2]; /* the names of which TLSA or CNAME records were asked for, each with a blank */
    enum address_verdict verdict;
    bool failed;
    enum tlsa_worth worth;
    char base[DOMAIN_MAX + 1];
    char reason[400];
    uint32_t ttl;
    unsigned usable, count;
    unsigned calls;
};

static void open_server(struct world *w, struct endpoint *at)
{
    struct sockaddr_storage sa;
    socklen_t len;

    assert_true(ip_address_parse(SPAN("127.0.0.1"), &at->address));
    len = endpoint_to_sockaddr(at, &sa);
    w->fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(w->fd, (struct sockaddr *)&sa, len), 0);
    len = sizeof(sa);
    assert_int_equal(getsockname(w->fd, (struct sockaddr *)&sa, &len), 0);
    assert_true(endpoint_from_sockaddr((struct sockaddr *)&sa, at));
    assert_int_equal(pipe(w->asked), 0);
    w->server = fork();
    if (w->server == 0)
        serve(w->fd, w->asked[1]);
    close(w->asked[1]);
}

static int open_world(void **state)
{
    static struct world w;
    struct endpoint at = { .port = 0 };

    w = (struct world){ .loop = loop_new() };
    open_server(&w, &at);
    assert_null(resolver_new(w.loop, &at, 1, true, &w.resolver));
    resolver_set_standing(w.resolver, RESOLVER_PROVEN);
    *state = &w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    kill(w->server, SIGKILL);
    waitpid(w->server, NULL, 0);
    close(w->fd);
    close(w->asked[0]);
    resolver_free(&w->resolver);
    loop_free(&w->loop);
    return 0;
}

static void on_done(void *ctx, const struct host_answer *answer)
{
    struct world *w = ctx;

    w->verdict = answer->addresses->verdict;
    w->failed = answer->tlsa_failed;
    w->worth = answer->worth;
    assert_int_equal(answer->worth, tlsa_set_worth(answer->tlsa));
    snprintf(w->base, sizeof(w->base), "%s", answer->tlsa ? answer->tlsa->base : "");
    snprintf(w->reason, sizeof(w->reason), "%s", answer->reason);
    w->ttl = answer->tlsa ? answer->tlsa->ttl : 0;
    w->usable = answer->tlsa ? answer->tlsa->usable_count : 0;
    w->count = answer->tlsa ? answer->tlsa->count : 0;
    w->calls++;
    loop_stop(w->loop);
}

static void ask_at(struct world *w, const char *host, uint16_t port, bool name_is_sure)
{
    static const struct address_filter everything = { .allow_count = 0 };
    struct host_question q = {
        .host = host, .port = port, .name_is_sure = name_is_sure, .filter = &everything
    };

    host_lookup_start(w->loop, w->resolver, &q, on_done, w);
    loop_run(w->loop);
}

static void ask(struct world *w, const char *host)
{
    ask_at(w, host, 25, true);
}

static void assert_asked(struct world *w, const char *names)
{
    char text[512];
    ssize_t len;

    kill(w->server, SIGKILL); /* what it said of them has all been said */
    len = read(w->asked[0], text, sizeof(text) - 1);
    assert_true(len >= 0);
    text[len] = '\0';
    assert_string_equal(text, names);
}

static void a_secure_host_with_usable_records_has_them_and_where_they_stand(void **state)
{
    struct world *w = *state;

    ask(w, "plain.test");
    assert_int_equal(w->verdict, ADDRESSES_FOUND);
    assert_int_equal(w->worth, TLSA_USABLE);
    assert_string_equal(w->base, "plain.test");
    assert_string_equal(w->reason, "");
    assert_int_equal(w->ttl, 77);
    assert_int_equal(w->usable, 1);
    assert_int_equal(w->count, 2);
    assert_false(w->failed);
    assert_asked(w, "_25._tcp.plain.test ");
}

static void records_none_of_which_can_be_used_are_told_from_none(void **state)
{
    struct world *w = *state;

    ask_at(w, "plain.test", 587, true);
    assert_int_equal(w->worth, TLSA_UNUSABLE);
    ask(w, "weak.test");
    assert_int_equal(w->worth, TLSA_UNUSABLE);
    assert_int_equal(w->usable, 0);
    assert_non_null(strstr(w->reason, "can be used"));
    ask(w, "none.test");
    assert_int_equal(w->worth, TLSA_NOT_APPLICABLE);
    assert_non_null(strstr(w->reason, "has no TLSA records"));
    assert_asked(w, "_587._tcp.plain.test _25._tcp.weak.test _25._tcp.none.test ");
}

static void nothing_is_asked_where_name_or_addresses_are_insecure(void **state)
{
    struct world *w = *state;

    ask_at(w, "plain.test", 25, false);
    assert_int_equal(w->verdict, ADDRESSES_FOUND);
    assert_int_equal(w->worth, TLSA_NOT_APPLICABLE);
    ask(w, "open.test");
    assert_int_equal(w->worth, TLSA_NOT_APPLICABLE);
    assert_false(w->failed);
    ask(w, "half.test");
    assert_int_equal(w->worth, TLSA_NOT_APPLICABLE);
    assert_asked(w, "");
}

static void a_lookup_that_fails_says_whose_and_why(void **state)
{
    struct world *w = *state;

    ask(w, "dark.test");
    assert_true(w->failed);
    assert_int_equal(w->worth, TLSA_NOT_APPLICABLE);
    assert_string_equal(w->reason, "the TLSA records of dark.test are not known: SERVFAIL");
    ask(w, "lost.test");
    assert_true(w->failed);
    assert_string_equal(w->reason, "the CNAME records of lost.test are not known: SERVFAIL");
    ask(w, "nowhere.test");
    assert_int_equal(w->verdict, ADDRESSES_TEMPFAIL);
    assert_false(w->failed);
    assert_asked(w, "_25._tcp.dark.test lost.test ");
}

static void aliases_are_walked(void **state)
{
    struct world *w = *state;

    ask(w, "alias.test");
    assert_int_equal(w->worth, TLSA_USABLE);
    assert_string_equal(w->base, "end.test");
    ask(w, "out.test");
    assert_int_equal(w->worth, TLSA_USABLE);
    assert_string_equal(w->base, "out.test");
    ask(w, "moved.test"); /* DANE-41: of the records, not of the host */
    assert_int_equal(w->worth, TLSA_USABLE);
    assert_string_equal(w->base, "moved.test");
    assert_asked(w, "_25._tcp.end.test out.test _25._tcp.out.test _25._tcp.moved.test ");
}

static void a_resolver_that_has_proved_nothing_makes_nothing_secure(void **state)
{
    struct world *w = *state;

    resolver_set_standing(w->resolver, RESOLVER_UNPROVEN);
    ask(w, "plain.test");
    assert_int_equal(w->verdict, ADDRESSES_FOUND);
    assert_int_equal(w->worth, TLSA_NOT_APPLICABLE);
    assert_non_null(strstr(w->reason, "DNSSEC is off"));
    ask(w, "lost.test"); /* not even whether the alias is secure, which DNS could not say */
    assert_int_equal(w->verdict, ADDRESSES_FOUND);
    assert_false(w->failed);
    assert_asked(w, "");
}

/* Whoever keeps the resolver from showing that it validates must not turn DANE off. */
static void records_that_may_be_secure_make_the_host_one_that_cannot_be_reached(void **state)
{
    static const struct address_filter everything = { .allow_count = 0 };
    struct world *w = *state;
    struct host_question q = {
        .host = "plain.test", .port = 25, .name_in_doubt = true, .filter = &everything
    };

    host_lookup_start(w->loop, w->resolver, &q, on_done, w);
    loop_run(w->loop);
    assert_true(w->failed);
    assert_int_equal(w->worth, TLSA_NOT_APPLICABLE);
    resolver_set_standing(w->resolver, RESOLVER_IN_DOUBT);
    ask(w, "plain.test");
    assert_true(w->failed);
    assert_int_equal(w->worth, TLSA_NOT_APPLICABLE);
    assert_non_null(strstr(w->reason, "could not show so far that it validates"));
    ask_at(w, "plain.test", 25, false); /* the name of the host is anybody's choice */
    assert_false(w->failed);
    assert_asked(w, "_25._tcp.plain.test _25._tcp.plain.test ");
}

static void where_nothing_may_be_secure_a_doubt_stops_no_mail(void **state)
{
    struct world *w = *state;

    resolver_set_standing(w->resolver, RESOLVER_IN_DOUBT);
    ask(w, "none.test");
    assert_int_equal(w->verdict, ADDRESSES_FOUND);
    assert_false(w->failed);
    ask(w, "half.test");
    assert_int_equal(w->verdict, ADDRESSES_FOUND);
    assert_false(w->failed);
}

static void a_lookup_taken_back_is_never_answered(void **state)
{
    static const struct address_filter everything = { .allow_count = 0 };
    struct world *w = *state;
    struct host_question q = {
        .host = "dark.test", .port = 25, .name_is_sure = true, .filter = &everything
    };
    struct host_lookup *lookup = host_lookup_start(w->loop, w->resolver, &q, on_done, w);

    host_lookup_cancel(&lookup);
    assert_null(lookup);
    host_lookup_cancel(&lookup);
    ask(w, "plain.test");
    assert_int_equal(w->calls, 1);
}

#define T(title, function)                                                                         \
    {                                                                                              \
        "host_lookup: " title, function, open_world, close_world, NULL                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        T("a secure host with usable records has them, and where they stand",
          a_secure_host_with_usable_records_has_them_and_where_they_stand),
        T("records none of which can be used are told from none",
          records_none_of_which_can_be_used_are_told_from_none),
        T("no TLSA record is asked for where name or addresses are insecure (RFC 7672 s.2.2.2)",
          nothing_is_asked_where_name_or_addresses_are_insecure),
        T("a lookup that fails says whose, and why", a_lookup_that_fails_says_whose_and_why),
        T("aliases are walked (RFC 7672 s.2.2.3)", aliases_are_walked),
        T("a resolver that has proved nothing makes nothing secure",
          a_resolver_that_has_proved_nothing_makes_nothing_secure),
        T("records that may be secure make the host one that cannot be reached",
          records_that_may_be_secure_make_the_host_one_that_cannot_be_reached),
        T("where nothing may be secure a doubt stops no mail",
          where_nothing_may_be_secure_a_doubt_stops_no_mail),
        T("a lookup taken back is never answered", a_lookup_taken_back_is_never_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
