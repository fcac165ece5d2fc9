#include "lib/mail/tlsa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/test.h"

static struct span rdata_of(char *room, int usage, int selector, int matching, size_t len)
{
    memset(room, 'x', len + 3);
    room[0] = (char)usage;
    room[1] = (char)selector;
    room[2] = (char)matching;
    return (struct span){ room, len + 3 };
}

static void only_what_smtp_can_use_is_usable(void **state)
{
    static const struct {
        int usage, selector, matching;
        size_t len;
        bool usable;
    } cases[] = {
        { 3, 1, 1, 32, true },    { 3, 0, 1, 32, true },  { 2, 0, 1, 32, true },
        { 2, 1, 2, 64, true },    { 3, 1, 0, 1, true },   { 3, 1, 1, 31, false },
        { 3, 1, 1, 33, false },   { 3, 1, 2, 32, false }, { 3, 1, 0, 0, false },
        { 0, 1, 1, 32, false },   { 1, 1, 1, 32, false }, { 4, 1, 1, 32, false },
        { 255, 1, 1, 32, false }, { 3, 2, 1, 32, false }, { 3, 1, 3, 32, false },
    };
    static char room[TLSA_RECORD_MAX + 4];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (tlsa_is_usable(rdata_of(room, cases[i].usage, cases[i].selector, cases[i].matching,
                                    cases[i].len)) != cases[i].usable)
            fail_msg("case %zu", i);
    assert_false(tlsa_is_usable((struct span){ NULL, 0 }));
    assert_false(tlsa_is_usable((struct span){ room, 3 }));
    assert_true(tlsa_is_usable(rdata_of(room, 3, 0, 0, TLSA_RECORD_MAX - 3)));
    assert_false(tlsa_is_usable(rdata_of(room, 3, 0, 0, TLSA_RECORD_MAX - 2)));
}

static void the_name_has_port_and_host(void **state)
{
    char name[TLSA_NAME_SIZE], host[DOMAIN_MAX + 1];

    (void)state;
    assert_true(tlsa_name("mx1.example.net", 2525, name));
    assert_string_equal(name, "_2525._tcp.mx1.example.net");
    memset(host, 'a', sizeof(host));
    host[DOMAIN_MAX] = '\0';
    assert_false(tlsa_name(host, 25, name));
}

/* --- sets */

enum { ROOM = 64, MANY = TLSA_RECORDS_MAX + 8 };

/* An answer whose records live in the test. */
struct made {
    struct dns_answer answer;
    struct dns_record records[MANY];
    char rooms[MANY][ROOM];
};

static void add(struct made *m, int usage, char last)
{
    unsigned i = m->answer.count++;
    struct span rdata = rdata_of(m->rooms[i], usage, 1, 1, 32);

    m->rooms[i][rdata.len - 1] = last;
    m->records[i] = (struct dns_record){ .data = m->rooms[i], .data_len = rdata.len };
    m->answer.records = m->records;
    m->answer.ttl = 300;
}

static void usable_records_stand_first_and_in_one_order(void **state)
{
    static struct made one, other;
    struct tlsa_set *a, *b;

    (void)state;
    add(&one, 1, 'a'), add(&one, 3, 'c'), add(&one, 2, 'z'), add(&one, 3, 'b'), add(&one, 0, 'a');
    add(&other, 3, 'b'), add(&other, 0, 'a'), add(&other, 3, 'c'), add(&other, 1, 'a'),
        add(&other, 2, 'z');
    a = tlsa_set_new("mx1.example.net", &one.answer, tlsa_is_usable);
    b = tlsa_set_new("mx1.example.net", &other.answer, tlsa_is_usable);
    assert_int_equal(a->count, 5);
    assert_int_equal(a->usable_count, 3);
    assert_int_equal(a->ttl, 300);
    assert_string_equal(a->base, "mx1.example.net");
    for (unsigned i = 0; i < a->count; i++) {
        assert_true(span_equal(a->records[i], b->records[i]));
        assert_true(tlsa_is_usable(a->records[i]) == (i < 3));
    }
    tlsa_set_free(&a);
    tlsa_set_free(&b);
}

static void a_set_is_worth_what_its_best_record_is(void **state)
{
    static struct made none, some;
    struct tlsa_set *set, *kept;

    (void)state;
    assert_int_equal(tlsa_set_worth(NULL), TLSA_NOT_APPLICABLE);
    assert_null(tlsa_set_keep(NULL));
    add(&none, 0, 'a'), add(&none, 1, 'a');
    set = tlsa_set_new("a.test", &none.answer, tlsa_is_usable);
    assert_int_equal(tlsa_set_worth(set), TLSA_UNUSABLE);
    tlsa_set_free(&set);
    tlsa_set_free(&set);
    add(&some, 0, 'a'), add(&some, 3, 'a');
    set = tlsa_set_new("a.test", &some.answer, tlsa_is_usable);
    kept = tlsa_set_keep(set);
    tlsa_set_free(&set);
    assert_null(set);
    assert_int_equal(tlsa_set_worth(kept), TLSA_USABLE);
    tlsa_set_free(&kept);
}

static void more_records_than_can_be_kept_cost_no_usable_one(void **state)
{
    static struct made m;
    struct tlsa_set *set;

    (void)state;
    for (int i = 0; i < MANY - 2; i++)
        add(&m, 0, (char)('a' + i % 26));
    add(&m, 3, 'x'), add(&m, 2, 'y');
    set = tlsa_set_new("a.test", &m.answer, tlsa_is_usable);
    assert_int_equal(set->count, TLSA_RECORDS_MAX);
    assert_int_equal(set->usable_count, 2);
    tlsa_set_free(&set);
}

/* --- words */

static void a_record_is_written_as_in_a_zone(void **state)
{
    static const char rdata[] = "\x03\x01\x01\x8d\x02\xff";
    static char large[TLSA_RECORD_MAX];
    char text[64];

    (void)state;
    tlsa_text((struct span){ rdata, 6 }, text, sizeof(text));
    assert_string_equal(text, "3 1 1 8d02ff");
    tlsa_text((struct span){ rdata, 3 }, text, sizeof(text));
    assert_string_equal(text, "3 1 1 ");
    tlsa_text((struct span){ rdata, 2 }, text, sizeof(text));
    assert_string_equal(text, "malformed");
    tlsa_text((struct span){ NULL, 0 }, text, sizeof(text));
    assert_string_equal(text, "malformed");
    tlsa_text((struct span){ large, sizeof(large) }, text, sizeof(text));
    assert_true(strlen(text) < sizeof(text) && strlen(text) > sizeof(text) - 4);
    assert_string_equal(text + strlen(text) - 5, "00...");
}

static void the_next_hop_is_a_name_only_where_it_is_sure(void **state)
{
    struct tlsa_names n = tlsa_names_of("example.net", "", true);

    (void)state;
    assert_string_equal(n.next_hop, "example.net");
    assert_null(n.expanded);
    n = tlsa_names_of("exchange.example.org", "example.com", true);
    assert_string_equal(n.next_hop, "exchange.example.org");
    assert_string_equal(n.expanded, "example.com");
    n = tlsa_names_of("Example.com", "example.com", true);
    assert_null(n.expanded);
    n = tlsa_names_of("exchange.example.org", "example.com", false); /* DANE-72 */
    assert_null(n.next_hop);
    assert_null(n.expanded);
    n = tlsa_names_of(NULL, "example.com", true);
    assert_null(n.next_hop);
    assert_null(n.expanded);
}

#define STORY(title, function)                                                                     \
    {                                                                                              \
        "tlsa: " title, function, NULL, NULL, NULL                                                 \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STORY("usages of SMTP, known selectors, digests of the right length are usable (RFC 7672 "
              "s.3.1)",
              only_what_smtp_can_use_is_usable),
        STORY("records stand at port and host", the_name_has_port_and_host),
        STORY("usable records stand first, and the same ones always in one order",
              usable_records_stand_first_and_in_one_order),
        STORY("a set is worth what its best record is", a_set_is_worth_what_its_best_record_is),
        STORY("more records than can be kept cost no usable one",
              more_records_than_can_be_kept_cost_no_usable_one),
        STORY("a record is written as in a zone", a_record_is_written_as_in_a_zone),
        STORY("the next hop is a name to look for only where it is sure (RFC 7672 s.3.2.2)",
              the_next_hop_is_a_name_only_where_it_is_sure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
