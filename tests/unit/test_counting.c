/* Who is told of a session: the policy domain, and under DANE the MX host; DNS says what it is told
 * to. */
#include "tests/support/test.h"

#include "lib/base/memory.h"
#include "tests/support/counted.h"
#include "tests/support/session_event.h"
#include "tlsrpt/counting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TODAY = 20521, QUERIES_MAX = WISHES_LOOKUPS_MAX };

/* ---- DNS that says what it is told -------------------------------------------------------- */

struct resolver_query {
    struct list others;
    resolver_done_fn *done;
    void *ctx;
    char name[DOMAIN_MAX + 16];
};

static struct list queries;
static unsigned asked;

struct resolver_query *resolver_ask(struct resolver *resolver, struct span name, enum dns_type type,
                                    resolver_done_fn *done, void *ctx)
{
    struct resolver_query *query = memory_new(sizeof(*query));

    (void)resolver;
    assert_int_equal(type, DNS_TXT);
    query->done = done;
    query->ctx = ctx;
    assert_true(span_to_string(name, query->name, sizeof(query->name)));
    list_init(&query->others);
    list_append(&queries, &query->others);
    asked++;
    return query;
}

void resolver_cancel(struct resolver_query **query)
{
    if (*query)
        list_remove(&(*query)->others);
    free(*query);
    *query = NULL;
}

/* ---- a clock that is set ------------------------------------------------------------------ */

static int64_t ahead_ms;

/* In front of the C library's. */
int clock_gettime(clockid_t which, struct timespec *out)
{
    long failed = syscall(SYS_clock_gettime, which, out);

    if (which == CLOCK_MONOTONIC)
        out->tv_sec += ahead_ms / SECOND_MS;
    return (int)failed;
}

/* ---- the rig ------------------------------------------------------------------------------ */

static struct counted counted;
static struct counting *counting;
static struct loop *loop;
static unsigned changed;

static void on_changed(void *ctx)
{
    (void)ctx;
    changed++;
}

static int setup(void **state)
{
    (void)state;
    list_init(&queries);
    asked = changed = 0;
    loop = loop_new();
    counted_open(&counted);
    counting = counting_new(loop, NULL, counted.tally, on_changed, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    counting_free(&counting);
    loop_free(&loop);
    assert_true(list_empty(&queries));
    counted_close(&counted);
    return 0;
}

static void wait_ms(int64_t ms)
{
    ahead_ms += ms;
    loop_refresh(loop);
}

/* Answers the question for a domain's record, which has been asked: NULL: there is none. */
static void answer(const char *domain, const char *record)
{
    struct dns_record txt = { .data = (char *)(uintptr_t)record };
    struct dns_answer a = { .outcome = DNS_NXDOMAIN, .ttl = 600 };
    struct resolver_query *query = NULL;
    char name[DOMAIN_MAX + 16];

    if (record && strcmp(record, "?") == 0) {
        a.outcome = DNS_TEMPFAIL;
    } else if (record) {
        txt.data_len = strlen(record);
        a = (struct dns_answer){ .outcome = DNS_ANSWER, .ttl = 600, .records = &txt, .count = 1 };
    }
    snprintf(name, sizeof(name), "_smtp._tls.%s", domain);
    LIST_EACH(query, &queries, struct resolver_query, others)
    {
        if (strcmp(query->name, name) == 0)
            break;
    }
    if (&query->others == &queries)
        fail_msg("%s was not asked for", name);
    list_remove(&query->others);
    query->done(query->ctx, &a);
    free(query);
}

static void take_on(uint32_t day, const char *domain, const char *base)
{
    struct session_event e;

    event_failure(&e, domain, TLS_RESULT_TLSA_INVALID);
    if (base) {
        e.event.policy_type = IPC__POLICY_TYPE__TLSA;
        e.event.policy_domain = event_bytes(base);
        e.event.n_mx_patterns = 0;
    }
    counting_take(counting, day, &e.event, (struct span){ NULL, 0 });
}

/* A session under DANE, or with `base` NULL under MTA-STS. */
static void take(const char *domain, const char *base)
{
    take_on(TODAY, domain, base);
}

struct seen {
    bool found;
    unsigned failed;
    enum tally_wish wish;
    char record[100];
};

static void on_sum(void *ctx, const struct tally_sum *sum)
{
    struct seen *seen = ctx;

    seen->failed = (unsigned)sum->failed;
    seen->wish = sum->wish;
    span_to_string(sum->record, seen->record, sizeof(seen->record));
}

static struct seen look(struct subject subject)
{
    struct seen seen = { .found = false };

    assert_null(tally_look(counted.tally, &subject, on_sum, &seen, &seen.found));
    return seen;
}

static struct seen domain_seen(const char *domain)
{
    return look(subject_of_domain(TODAY, span_of(domain)));
}

static struct seen host_seen(const char *base)
{
    return look(subject_of_host(TODAY, span_of(base)));
}

#define RUA_A "v=TLSRPTv1; rua=mailto:a@reports.test"
#define RUA_B "v=TLSRPTv1; rua=mailto:b@reports.test"
#define RUA_AB "v=TLSRPTv1;rua=https://c.test/x,MAILTO:a@Reports.test"

/* ---- whose record ------------------------------------------------------------------------- */

static void a_record_is_looked_up_once_and_noted(void **state)
{
    (void)state;
    take("a.test", NULL);
    take("a.test", NULL);
    assert_int_equal(asked, 1);
    assert_int_equal(domain_seen("a.test").failed, 2);
    assert_int_equal(domain_seen("a.test").wish, TALLY_WISH_UNKNOWN);
    answer("a.test", RUA_A);
    assert_int_equal(domain_seen("a.test").wish, TALLY_WISH_SEEN);
    assert_string_equal(domain_seen("a.test").record, RUA_A);
    take("a.test", NULL);
    assert_int_equal(asked, 1);
    assert_int_equal(changed, 4);
}

static void whoever_has_no_record_is_counted_all_the_same(void **state)
{
    (void)state;
    take("a.test", NULL);
    answer("a.test", NULL);
    take("b.test", NULL);
    answer("b.test", "v=TLSRPTv1; rua=ftp://x");
    assert_int_equal(domain_seen("a.test").failed, 1);
    assert_int_equal(domain_seen("a.test").wish, TALLY_WISH_NONE);
    assert_int_equal(domain_seen("b.test").wish, TALLY_WISH_NONE);
}

static void a_record_that_is_taken_away_stays_for_the_day(void **state)
{
    (void)state;
    take("a.test", NULL);
    answer("a.test", RUA_A);
    assert_null(tally_write(counted.tally, TODAY));
    wait_ms(11 * MINUTE_MS); /* behind its TTL */
    take("a.test", NULL);
    answer("a.test", NULL);
    assert_string_equal(domain_seen("a.test").record, RUA_A);
    take_on(TODAY + 1, "a.test", NULL);
    assert_int_equal(look(subject_of_domain(TODAY + 1, SPAN("a.test"))).wish, TALLY_WISH_NONE);
}

static void a_changed_record_takes_the_place_of_the_old_one(void **state)
{
    (void)state;
    take("a.test", NULL);
    answer("a.test", RUA_A);
    wait_ms(11 * MINUTE_MS);
    take("a.test", NULL);
    assert_int_equal(asked, 2);
    answer("a.test", RUA_B);
    assert_string_equal(domain_seen("a.test").record, RUA_B);
}

static void each_day_knows_the_record(void **state)
{
    (void)state;
    take("a.test", NULL);
    answer("a.test", RUA_A);
    take_on(TODAY + 1, "a.test", NULL);
    assert_int_equal(asked, 1);
    assert_string_equal(look(subject_of_domain(TODAY + 1, SPAN("a.test"))).record, RUA_A);
}

static void dns_that_does_not_answer_is_no_answer(void **state)
{
    struct subject subject = subject_of_domain(TODAY, SPAN("a.test"));
    (void)state;
    take("a.test", NULL);
    answer("a.test", "?");
    assert_int_equal(domain_seen("a.test").wish, TALLY_WISH_UNKNOWN);
    take("a.test", NULL);
    assert_int_equal(asked, 1); /* not at once */
    wait_ms(WISHES_LEAST_MS);
    counting_look_again(counting, &subject);
    answer("a.test", RUA_A);
    assert_int_equal(domain_seen("a.test").wish, TALLY_WISH_SEEN);
    wait_ms(WISHES_MOST_MS);
    take("a.test", NULL);
    answer("a.test", "?"); /* what was known stays */
    take_on(TODAY + 1, "a.test", NULL);
    assert_string_equal(look(subject_of_domain(TODAY + 1, SPAN("a.test"))).record, RUA_A);
}

static void with_reports_off_nobody_is_looked_up(void **state)
{
    (void)state;
    counting_set_reports(counting, false);
    take("a.test", "mx.test");
    assert_int_equal(asked, 0);
    assert_int_equal(domain_seen("a.test").failed, 1);
}

static void others_bring_the_record_that_they_saw(void **state)
{
    struct session_event e;
    (void)state;
    event_failure(&e, "a.test", TLS_RESULT_TLSA_INVALID);
    counting_take(counting, TODAY, &e.event, SPAN(RUA_A));
    assert_int_equal(asked, 0);
    assert_string_equal(domain_seen("a.test").record, RUA_A);
    e.event.domain = event_bytes("b.test");
    counting_take(counting, TODAY, &e.event, SPAN("nonsense"));
    assert_int_equal(domain_seen("b.test").wish, TALLY_WISH_NONE);
}

static void lookups_are_bounded_and_none_is_lost(void **state)
{
    char domain[20];
    (void)state;
    for (int i = 0; i < WISHES_LOOKUPS_MAX + 10; i++) {
        snprintf(domain, sizeof(domain), "d%d.test", i);
        take(domain, NULL);
    }
    assert_int_equal(asked, WISHES_LOOKUPS_MAX);
    for (int i = 0; i < WISHES_LOOKUPS_MAX + 10; i++) {
        snprintf(domain, sizeof(domain), "d%d.test", i);
        answer(domain, RUA_A);
        assert_int_equal(domain_seen(domain).wish, TALLY_WISH_SEEN);
    }
}

static void the_domains_kept_are_bounded(void **state)
{
    char domain[20];
    (void)state;
    for (int i = 0; i < WISHES_MAX + 1; i++) {
        snprintf(domain, sizeof(domain), "d%d.test", i);
        take(domain, NULL);
        answer(domain, NULL);
        if (tally_is_full(counted.tally))
            assert_null(tally_write(counted.tally, TODAY));
    }
    assert_int_equal(asked, WISHES_MAX + 1);
    take("d1.test", NULL);
    assert_int_equal(asked, WISHES_MAX + 1);
    take("d0.test", NULL); /* the longest unused was let go */
    assert_int_equal(asked, WISHES_MAX + 2);
}

static void whom_there_is_no_room_for_is_counted(void **state)
{
    char domain[20];
    (void)state;
    for (int i = 0; i < WISHES_MAX; i++) {
        snprintf(domain, sizeof(domain), "d%d.test", i);
        take(domain, NULL);
        if (tally_is_full(counted.tally))
            assert_null(tally_write(counted.tally, TODAY));
    }
    take("more.test", "mx.test"); /* all others are under way */
    assert_int_equal(domain_seen("more.test").failed, 1);
    assert_int_equal(counting_counts(counting).left_out, 1);
}

/* ---- the MX host's own view --------------------------------------------------------------- */

static void an_mx_host_gets_a_view_of_its_own(void **state)
{
    (void)state;
    take("a.test", "MX.test.");
    take("b.test", "mx.test");
    assert_false(host_seen("mx.test").found);
    assert_int_equal(counting_counts(counting).waiting, 2);
    answer("mx.test", RUA_B);
    answer("a.test", RUA_A);
    assert_int_equal(host_seen("mx.test").failed, 1);
    answer("b.test", NULL);
    assert_int_equal(host_seen("mx.test").failed, 2);
    assert_int_equal(host_seen("mx.test").wish, TALLY_WISH_SEEN);
    assert_string_equal(host_seen("mx.test").record, RUA_B);
    take("a.test", "mx.test");
    assert_int_equal(host_seen("mx.test").failed, 3);
    assert_int_equal(domain_seen("a.test").failed, 2);
    assert_int_equal(counting_counts(counting).waiting, 0);
    assert_false(domain_seen("mx.test").found);
}

static void nobody_is_told_of_a_session_twice(void **state)
{
    (void)state;
    take("a.test", "mx.test");
    answer("a.test", RUA_A);
    answer("mx.test", RUA_AB); /* the same mailbox, written otherwise, beside another one */
    assert_false(host_seen("mx.test").found);
    assert_int_equal(domain_seen("a.test").failed, 1);
}

static void a_host_without_a_record_has_no_view(void **state)
{
    (void)state;
    take("a.test", "mx.test");
    answer("mx.test", NULL);
    assert_int_equal(counting_counts(counting).waiting, 0);
    answer("a.test", RUA_A);
    assert_false(host_seen("mx.test").found);
    take("mx2.test", "mx2.test"); /* it is the policy domain itself */
    answer("mx2.test", RUA_A);
    assert_false(host_seen("mx2.test").found);
    take("sts.test", NULL);
    assert_int_equal(counting_counts(counting).left_out, 0);
    answer("sts.test", NULL);
}

static void what_nobody_can_tell_is_left_out(void **state)
{
    (void)state;
    take("a.test", "mx.test");
    answer("mx.test", RUA_B);
    answer("a.test", "?");
    assert_false(host_seen("mx.test").found);
    assert_int_equal(counting_counts(counting).left_out, 1);
    take("a.test", "mx2.test");
    answer("mx2.test", "?");
    assert_int_equal(counting_counts(counting).left_out, 2);
}

static void the_record_of_others_is_the_domains_own(void **state)
{
    struct session_event e;
    (void)state;
    event_failure(&e, "a.test", TLS_RESULT_TLSA_INVALID);
    e.event.policy_type = IPC__POLICY_TYPE__TLSA;
    e.event.policy_domain = event_bytes("mx.test");
    counting_take(counting, TODAY, &e.event, SPAN(RUA_A));
    e.event.domain = event_bytes("b.test");
    counting_take(counting, TODAY, &e.event, SPAN(RUA_B));
    assert_int_equal(asked, 1);
    answer("mx.test", RUA_A);
    assert_int_equal(host_seen("mx.test").failed, 1);
}

static void what_waits_for_dns_is_bounded(void **state)
{
    (void)state;
    for (int i = 0; i < COUNTING_KEPT_MAX + 5; i++)
        take("a.test", "mx.test");
    assert_int_equal(counting_counts(counting).waiting, COUNTING_KEPT_MAX);
    assert_int_equal(counting_counts(counting).left_out, 5);
    answer("a.test", NULL);
    answer("mx.test", RUA_A);
    assert_int_equal(host_seen("mx.test").failed, COUNTING_KEPT_MAX);
    assert_int_equal(domain_seen("a.test").failed, COUNTING_KEPT_MAX + 5);
}

static void what_waits_at_the_end_is_let_go(void **state)
{
    (void)state;
    take("a.test", "mx.test");
    take("b.test", "mx.test");
    assert_int_equal(counting_counts(counting).waiting, 2); /* the teardown frees them */
}

/* ---- records ------------------------------------------------------------------------------ */

static void a_long_record_keeps_the_uris_that_are_used(void **state)
{
    char record[20000] = "v=TLSRPTv1; rua=", room[TALLY_RECORD_MAX];
    struct wish wish;
    (void)state;
    for (int i = 0; i < 400; i++)
        snprintf(record + strlen(record), sizeof(record) - strlen(record),
                 "%smailto:reports@host%d.example.test", i ? ", " : "", i);
    wish = wish_of_record(span_of(record), room);
    assert_int_equal(wish.state, TALLY_WISH_SEEN);
    assert_in_range(wish.record.len, 300, 400);
    assert_true(span_starts_with(wish.record, SPAN("v=TLSRPTv1; rua=mailto:reports@host0.")));
    wish = wish_of_record(wish.record, room);
    assert_int_equal(wish.state, TALLY_WISH_SEEN);
    strcpy(record, "v=TLSRPTv1; rua=mailto:a!b@a.test,mailto:a%21b@a.test");
    for (int i = 0; i < 800; i++)
        strcat(record, ",mailto:b@b.test");
    strcat(record, ",mailto:last@c.test");
    wish = wish_of_record(span_of(record), room);
    assert_true(span_equal(wish.record, SPAN("v=TLSRPTv1; rua=mailto:a%21b@a.test,mailto:b@b.test,"
                                             "mailto:last@c.test")));
    memset(record, 'x', 10000);
    record[10000] = '\0';
    memcpy(record, SPAN("v=TLSRPTv1; rua=https://x.test/").data,
           31); /* nothing but one that does not fit */
    wish = wish_of_record(span_of(record), room);
    assert_int_equal(wish.state, TALLY_WISH_NONE);
}

static void the_right_one_of_several_records_is_kept(void **state)
{
    static char other[] = "v=spf1 -all", own[] = RUA_A;
    struct dns_record records[] = { { .data = other, .data_len = sizeof(other) - 1 },
                                    { .data = own, .data_len = sizeof(own) - 1 } };
    struct dns_answer found = { .outcome = DNS_ANSWER, .records = records, .count = 2 };
    char room[TALLY_RECORD_MAX];
    (void)state;
    assert_true(span_equal(wish_of_answer(&found, room).record, SPAN(RUA_A)));
    records[0].data = own;
    records[0].data_len = sizeof(own) - 1;
    assert_int_equal(wish_of_answer(&found, room).state, TALLY_WISH_NONE); /* RPT-14 */
}

static void a_record_that_is_not_taken_is_told_and_why(void **state)
{
    char record[20000] = "v=TLSRPTv1; rua=mailto:a@b.test", room[TALLY_RECORD_MAX];
    (void)state;
    assert_null(wish_of_record(span_of(record), room).trouble);
    assert_null(wish_of_record(SPAN("v=spf1 -all"), room).trouble);
    assert_string_equal(wish_of_record(SPAN("v=TLSRPTv1; rua=a@b.test"), room).trouble,
                        "its form is broken, or none of its URIs can be used");
    for (int i = 0; i < 1000; i++)
        strcat(record, ",mailto:b@b.test");
    assert_non_null(strstr(wish_of_record(span_of(record), room).trouble, "longer than 8 KiB"));
}

#define RIG_TEST(title, function)                                                                  \
    {                                                                                              \
        title, function, setup, teardown, 0                                                        \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST("counting: a TLSRPT record is looked up once, and noted",
                 a_record_is_looked_up_once_and_noted),
        RIG_TEST("counting: whoever has no record is counted all the same",
                 whoever_has_no_record_is_counted_all_the_same),
        RIG_TEST("counting: a record that is taken away stays for the day (RPT-4)",
                 a_record_that_is_taken_away_stays_for_the_day),
        RIG_TEST("counting: a changed record takes the place of the old one",
                 a_changed_record_takes_the_place_of_the_old_one),
        RIG_TEST("counting: each day knows the record", each_day_knows_the_record),
        RIG_TEST("counting: DNS that does not answer is no answer",
                 dns_that_does_not_answer_is_no_answer),
        RIG_TEST("counting: with reports off nobody is looked up",
                 with_reports_off_nobody_is_looked_up),
        RIG_TEST("counting: others bring the record that they saw (RPT-101)",
                 others_bring_the_record_that_they_saw),
        RIG_TEST("counting: lookups are bounded, and none is lost",
                 lookups_are_bounded_and_none_is_lost),
        RIG_TEST("counting: the domains kept are bounded", the_domains_kept_are_bounded),
        RIG_TEST("counting: whom there is no room for is counted",
                 whom_there_is_no_room_for_is_counted),
        RIG_TEST("counting: an MX host gets a view of its own, of all domains (RPT-3)",
                 an_mx_host_gets_a_view_of_its_own),
        RIG_TEST("counting: nobody is told of a session twice", nobody_is_told_of_a_session_twice),
        RIG_TEST("counting: a host without a record has no view",
                 a_host_without_a_record_has_no_view),
        RIG_TEST("counting: for a host, what nobody can tell is left out",
                 what_nobody_can_tell_is_left_out),
        RIG_TEST("counting: the record of others is the domain's own",
                 the_record_of_others_is_the_domains_own),
        RIG_TEST("counting: what waits for DNS is bounded", what_waits_for_dns_is_bounded),
        RIG_TEST("counting: what waits at the end is let go", what_waits_at_the_end_is_let_go),
        RIG_TEST("counting: a long record keeps the URIs that are used",
                 a_long_record_keeps_the_uris_that_are_used),
        RIG_TEST("counting: the right one of several records is kept",
                 the_right_one_of_several_records_is_kept),
        RIG_TEST("counting: a record that is not taken is told, and why",
                 a_record_that_is_not_taken_is_told_and_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
