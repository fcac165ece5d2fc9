#include "supervisor/route_check.h"

#include "lib/base/buf.h"
#include "lib/base/memory.h"
#include "lib/mail/dns_message.h"
#include "tests/support/fake_dns.h"
#include "tests/support/settings_text.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/*
 * A name server of ours answers by the first label of a name: by its first letter "g", which has an
 * IPv4 address, "f" (SERVFAIL), "s" (no answer at all), "n" (nothing of any type) and "x" (no such
 * name); and by those in `exchangers`, which have MX records.  It counts what it is asked.
 */
struct world {
    struct fake_dns dns;
    struct buf said; /* a line each: "fault 0 next-hop: ..." */
    unsigned *asked; /* shared with the server */
};

static struct world world;

/* The best first; "." is the root. */
static const struct {
    const char *label;
    const char *names[3];
} exchangers[] = {
    { "mx-good", { "x.example", "n.example", "g.example" } },
    { "mx-null", { "." } },
    { "mx-self", { "relay.test", "g.example" } },
    { "mx-second", { "g.example", "relay.test" } },
    { "mx-address", { "192.0.2.1" } },
    { "mx-nowhere", { "x.example", "n.example" } },
    { "mx-unsure", { "x.example", "f.example" } },
    { "mx-backup", { "f.example", "g.example" } },
};

/* Labels and the root; gives the length. */
static unsigned put_name(const char *name, unsigned char *out)
{
    struct span rest = span_of(name);
    struct span label;
    unsigned at = 0;

    while (rest.len > 0 && span_cut(&rest, '.', &label) && label.len > 0) {
        out[at++] = (unsigned char)label.len;
        memcpy(out + at, label.data, label.len);
        at += (unsigned)label.len;
    }
    out[at] = 0;
    return at + 1;
}

static size_t put_exchangers(const unsigned char *query, unsigned char *reply, size_t at)
{
    unsigned char data[64];

    for (size_t i = 0; i < sizeof(exchangers) / sizeof(exchangers[0]); i++)
        for (unsigned char n = 0; fake_dns_starts(query, exchangers[i].label) && n < 3; n++) {
            if (!exchangers[i].names[n])
                break;
            data[0] = 0;
            data[1] = n; /* preference */
            at = fake_dns_add_answer(reply, at, DNS_MX, data,
                                     2 + put_name(exchangers[i].names[n], data + 2));
        }
    return at;
}

static size_t answer(const unsigned char *query, bool tcp, unsigned char *reply)
{
    static const unsigned char address[] = { 192, 0, 2, 1 };
    size_t at = fake_dns_begin(query, reply);
    unsigned type = query[at - 3];
    char how = (char)(query[FAKE_DNS_HEADER + 1] | 0x20); /* the case of letters is by chance */

    (void)tcp;
    ++*world.asked;
    if (how == 's')
        return 0;
    if (how == 'f')
        reply[3] |= 2; /* SERVFAIL */
    if (how == 'x')
        reply[3] |= 3; /* NXDOMAIN */
    if (how == 'g' && type == DNS_A)
        at = fake_dns_add_answer(reply, at, DNS_A, address, sizeof(address));
    return type == DNS_MX ? put_exchangers(query, reply, at) : at;
}

static int begin(void **state)
{
    (void)state;
    buf_init(&world.said, 1024 * 1024);
    world.asked =
        mmap(NULL, sizeof(*world.asked), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(world.asked, MAP_FAILED);
    fake_dns_start(&world.dns, answer);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fake_dns_stop(&world.dns);
    munmap(world.asked, sizeof(*world.asked));
    buf_clear(&world.said);
    return 0;
}

static void on_said(void *ctx, enum route_finding finding, unsigned route, const char *member,
                    const char *sentence)
{
    static const char *const words[] = { "fault", "warning", "note" };

    (void)ctx;
    ensure(buf_printf(&world.said, "%s %d %s: %s\n", words[finding], (int)route, member, sentence));
}

/* What is said of these settings, asking our server; the caller frees it. */
static char *said_of(const char *text)
{
    struct settings *s = settings_of(text);

    s->resolvers[0] = world.dns.endpoint;
    s->resolver_count = 1;
    buf_reset(&world.said);
    route_check_lookups(s, SPAN(""), on_said, NULL);
    free(s);
    return memory_copy_span(buf_span(&world.said));
}

static void assert_said(const char *text, const char *expected)
{
    char *got = said_of(text);

    assert_string_equal(got, expected);
    free(got);
}

static unsigned lines_with(const char *text, const char *words)
{
    unsigned count = 0;

    for (const char *at = text; (at = strstr(at, words)); at++)
        count++;
    return count;
}

static void each_route_that_uses_a_name_hears_of_it(void **state)
{
    (void)state;
    assert_said("relayhost = \"[x.example]\"; routes = ("
                " { name = \"a\"; next-hop = [ \"[x.example]\", \"[X.example]:26\" ]; },"
                " { name = \"b\"; next-hop = \"[g.example]\"; },"
                " { name = \"c\"; next-hop = \"[x.example]\"; } );",
                "fault -1 relayhost: relayhost x.example does not resolve; write a host that has "
                "an address\n"
                "fault 0 next-hop: next-hop x.example does not resolve; write a host that has an "
                "address\n"
                "fault 2 next-hop: next-hop x.example does not resolve; write a host that has an "
                "address\n");
    assert_int_equal(*world.asked, 4); /* A and AAAA of each */
}

/* What is said of one route to there, "" for nothing. */
static void assert_hop(const char *hop, const char *families, const char *expected)
{
    char text[512], line[512];

    snprintf(text, sizeof(text),
             "hostname = \"relay.test\"; routes = ( { name = \"a\"; next-hop = \"%s\"; "
             "families = \"%s\"; } );",
             hop, families);
    snprintf(line, sizeof(line), "%s\n", expected);
    assert_said(text, expected[0] != '\0' ? line : "");
}

static void a_host_has_to_have_an_address_of_the_families(void **state)
{
    (void)state;
    assert_hop("[g.example]", "both", "");
    assert_hop("[g.example]", "ipv4", "");
    assert_hop("[g.example]", "ipv6",
               "fault 0 next-hop: next-hop g.example has no IPv6 address, and families leaves "
               "others out");
    assert_hop("[n.example]", "ipv4",
               "fault 0 next-hop: next-hop n.example has no IPv4 address, and families leaves "
               "others out");
    assert_hop("[n.example]", "both",
               "fault 0 next-hop: next-hop n.example does not resolve; write a host that has an "
               "address");
    assert_hop("[f.example]", "both",
               "warning 0 next-hop: next-hop f.example cannot be looked up now: DNS does not "
               "answer");
    assert_hop("[mx-null.example]", "both",
               "fault 0 next-hop: next-hop mx-null.example does not resolve; write a host that "
               "has an address");
}

static void mx_records_have_to_lead_to_a_host_elsewhere(void **state)
{
    (void)state;
    assert_hop("mx-good.example", "both", "");
    assert_hop("mx-second.example", "both", "");
    assert_hop("g.example", "both", "");
    assert_hop("x.example", "ipv4",
               "fault 0 next-hop: next-hop x.example does not resolve; write a host that has an "
               "address");
    assert_hop("f.example", "both",
               "warning 0 next-hop: next-hop f.example cannot be looked up now: DNS does not "
               "answer");
    assert_hop("mx-null.example", "both",
               "fault 0 next-hop: next-hop mx-null.example takes no mail: it has a null MX; write "
               "another, or [host] for its address");
    assert_hop("mx-self.example", "both",
               "fault 0 next-hop: next-hop mx-self.example leads back to this relay: its best MX "
               "is our hostname; write another");
    assert_hop("mx-address.example", "both",
               "fault 0 next-hop: next-hop mx-address.example has MX records, but none with a "
               "usable host name; write another, or [host]");
}

static void hosts_of_mx_records_have_to_have_an_address(void **state)
{
    (void)state;
    assert_hop("mx-nowhere.example", "both",
               "fault 0 next-hop: next-hop mx-nowhere.example has MX records, but none of their "
               "hosts has an address; write another");
    assert_hop("mx-good.example", "ipv4", "");
    assert_hop("mx-good.example", "ipv6",
               "fault 0 next-hop: next-hop mx-good.example has MX records, but none of their "
               "hosts has an IPv6 address, and families leaves others out");
    assert_hop("n.example", "ipv4",
               "fault 0 next-hop: next-hop n.example has no IPv4 address, and families leaves "
               "others out");
    assert_hop("mx-unsure.example", "both",
               "warning 0 next-hop: next-hop mx-unsure.example cannot be looked up now: DNS does "
               "not answer");
}

/* As many as there can be: `how` begins each name. */
static char *text_of_all(char how, unsigned routes, unsigned hosts)
{
    struct buf text;
    char *copy;

    buf_init(&text, 1024 * 1024);
    ensure(buf_printf(&text, "routes = ("));
    for (unsigned i = 0; i < routes; i++) {
        ensure(buf_printf(&text, "%s{ name = \"r%u\"; next-hop = [ ", i > 0 ? "," : "", i));
        for (unsigned n = 0; n < hosts; n++)
            ensure(buf_printf(&text, "%s\"[%c%u-%u.example]\"", n > 0 ? "," : "", how, i, n));
        ensure(buf_printf(&text, " ]; }"));
    }
    ensure(buf_printf(&text, ");"));
    copy = memory_copy_span(buf_span(&text));
    buf_clear(&text);
    return copy;
}

static void all_names_are_looked_up(void **state)
{
    char *text = text_of_all('x', SETTINGS_ROUTES_MAX, SETTINGS_ROUTE_HOSTS_MAX);
    char *got = said_of(text);

    (void)state;
    assert_int_equal(lines_with(got, "fault "), SETTINGS_ROUTES_MAX * SETTINGS_ROUTE_HOSTS_MAX);
    assert_int_equal(lines_with(got, "\n"), SETTINGS_ROUTES_MAX * SETTINGS_ROUTE_HOSTS_MAX);
    assert_int_equal(*world.asked, 2 * SETTINGS_ROUTES_MAX * SETTINGS_ROUTE_HOSTS_MAX);
    assert_non_null(strstr(got, "fault 127 next-hop: next-hop x127-7.example does not resolve"));
    free(got);
    free(text);
}

static void what_there_was_no_time_for_is_counted(void **state)
{
    char *text = text_of_all('s', 20, 5);
    char *got = said_of(text);

    (void)state;
    assert_int_equal(lines_with(got, "cannot be looked up now: DNS does not answer in time"), 32);
    assert_non_null(strstr(got, "warning -1 routes: 68 next hops were not looked up: there was no "
                                "time left for them\n"));
    assert_int_equal(lines_with(got, "\n"), 33);
    free(got);
    free(text);
}

static void a_name_that_leads_to_a_listener_of_ours_is_a_fault(void **state)
{
    (void)state;
#define LOOP " is a listener of this relay itself: mail for it would come back; write another host"
    assert_said("listeners = ( { address = [ \"192.0.2.1:25\", \"192.0.2.1:465\" ]; } );"
                "relayhost = \"[g.example]\"; routes = ("
                " { name = \"a\"; next-hop = [ \"[g.example]:26\", \"[g.example]:465\" ]; },"
                " { name = \"b\"; next-hop = \"[g.example]:587\"; },"
                " { name = \"c\"; next-hop = \"g.example\"; port = 26; },"
                " { name = \"d\"; next-hop = \"mx-good.example\"; } );",
                "fault -1 relayhost: relayhost g.example port 25" LOOP " or port\n"
                "fault 0 next-hop: next-hop g.example port 465" LOOP " or port\n"
                "fault 3 next-hop: next-hop mx-good.example has an MX host whose port 25" LOOP
                " or port\n");
}

/* We may be the backup of a better host; a fault would keep the relay from starting. */
static void while_dns_does_not_tell_of_a_better_host_it_is_a_warning(void **state)
{
    (void)state;
    assert_said("listeners = ( { address = \"192.0.2.1:25\"; } ); routes = ("
                " { name = \"a\"; next-hop = \"mx-backup.example\"; },"
                " { name = \"b\"; next-hop = \"mx-backup.example:26\"; },"
                " { name = \"c\"; next-hop = \"mx-good.example\"; } );",
                "warning 0 next-hop: next-hop mx-backup.example has an MX host whose port 25 is a "
                "listener of this relay itself: mail for it would come back; DNS does not answer "
                "for a better host now\n"
                "fault 2 next-hop: next-hop mx-good.example has an MX host whose port 25" LOOP
                " or port\n");
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, begin, end, NULL                                                          \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST("a name is looked up once, and told of at each route that uses it",
             each_route_that_uses_a_name_hears_of_it),
        TEST("a host has to have an address of the route's families",
             a_host_has_to_have_an_address_of_the_families),
        TEST("MX records have to lead to a host elsewhere",
             mx_records_have_to_lead_to_a_host_elsewhere),
        TEST("hosts of MX records have to have an address of the route's families",
             hosts_of_mx_records_have_to_have_an_address),
        TEST("a name that leads to a listener of ours is a fault, at another port it is none",
             a_name_that_leads_to_a_listener_of_ours_is_a_fault),
        TEST("while DNS does not tell of a better host that is a warning",
             while_dns_does_not_tell_of_a_better_host_it_is_a_warning),
        TEST("all names of all routes are looked up", all_names_are_looked_up),
        TEST("with DNS silent, what there was no time for is told of by its number",
             what_there_was_no_time_for_is_counted),
    };
    return cmocka_run_group_tests_name("lookups of next hops", tests, NULL, NULL);
}
