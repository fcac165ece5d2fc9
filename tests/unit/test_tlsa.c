#include "queue/deliver/tlsa_set.h"

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

static struct dns_answer answer_with(struct dns_record *records, unsigned count)
{
    return (struct dns_answer){
        .outcome = DNS_ANSWER, .secure = true, .records = records, .count = count
    };
}

static void usable_records_of_a_secure_answer_are_taken(void **state)
{
    static char rooms[2][64];
    struct span good = rdata_of(rooms[0], 3, 1, 1, 32), bad = rdata_of(rooms[1], 1, 1, 1, 32);
    struct dns_record records[] = { { .data = rooms[1], .data_len = bad.len },
                                    { .data = rooms[0], .data_len = good.len } };
    struct dns_answer answer = answer_with(records, 2);
    struct tlsa_set set = { .count = 0 };

    (void)state;
    assert_null(tlsa_set_take(&set, &answer));
    assert_int_equal(set.count, 1);
    assert_true(span_equal(set.records[0], good));
    answer.count = 1;
    assert_string_equal(tlsa_set_take(&set, &answer), "none of them can be used for SMTP");
    assert_int_equal(set.count, 0);
}

static void what_is_not_secure_counts_for_nothing(void **state)
{
    static char room[64];
    struct span good = rdata_of(room, 3, 1, 1, 32);
    struct dns_record record = { .data = room, .data_len = good.len };
    struct dns_answer answer = answer_with(&record, 1);
    struct tlsa_set set = { .count = 0 };

    (void)state;
    answer.secure = false;
    assert_non_null(strstr(tlsa_set_take(&set, &answer), "not secured by DNSSEC"));
    assert_int_equal(set.count, 0);
    answer.outcome = DNS_NXDOMAIN;
    assert_string_equal(tlsa_set_take(&set, &answer), "there are none");
}

static void more_records_than_can_be_kept_are_left_out(void **state)
{
    static char room[64];
    struct span good = rdata_of(room, 3, 1, 1, 32);
    struct dns_record records[TLSA_RECORDS_MAX + 1];
    struct dns_answer answer = answer_with(records, TLSA_RECORDS_MAX + 1);
    struct tlsa_set set = { .count = 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++)
        records[i] = (struct dns_record){ .data = room, .data_len = good.len };
    assert_null(tlsa_set_take(&set, &answer));
    assert_int_equal(set.count, TLSA_RECORDS_MAX);
    tlsa_set_clear(&set);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        { "tlsa: usages of SMTP, known selectors, digests of the right length are usable (RFC 7672 "
          "s.3.1)",
          only_what_smtp_can_use_is_usable, 0, 0, 0 },
        { "tlsa: records stand at port and host", the_name_has_port_and_host, 0, 0, 0 },
        { "tlsa: usable records of a secure answer are taken",
          usable_records_of_a_secure_answer_are_taken, 0, 0, 0 },
        { "tlsa: what is not secure counts for nothing", what_is_not_secure_counts_for_nothing, 0,
          0, 0 },
        { "tlsa: more records than can be kept are left out",
          more_records_than_can_be_kept_are_left_out, 0, 0, 0 },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
