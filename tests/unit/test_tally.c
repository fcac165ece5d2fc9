#include "tests/support/test.h"

#include "lib/io/kv.h"
#include "tests/support/counted.h"
#include "tests/support/session_event.h"
#include "tlsrpt/ledger.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TODAY = 20521 };

static struct counted counted;

static int setup(void **state)
{
    (void)state;
    counted_open(&counted);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    counted_close(&counted);
    return 0;
}

static void add(uint32_t day, const char *domain)
{
    struct session_event e;

    event_failure(&e, domain, TLS_RESULT_CERTIFICATE_EXPIRED);
    counted_add(&counted, day, &e.event, 1);
}

static void note(const char *domain, enum tally_wish wish, const char *record)
{
    struct subject subject = subject_of_domain(TODAY, span_of(domain));

    tally_note_wish(counted.tally, &subject, wish, span_of(record));
}

static void write_all(uint32_t today)
{
    struct error *err = tally_write(counted.tally, today);

    if (err)
        fail_msg("%s", error_text(err));
}

static void on_sum(void *ctx, const struct tally_sum *sum)
{
    *(struct tally_sum *)ctx = *sum;
}

static struct tally_sum sum_of(uint32_t day, const char *domain)
{
    struct subject subject = subject_of_domain(day, span_of(domain));
    struct tally_sum sum = { .succeeded = 0 };
    bool found;

    assert_null(tally_look(counted.tally, &subject, on_sum, &sum, &found));
    return sum;
}

/* How many failed sessions are counted. */
static int failed(uint32_t day, const char *domain)
{
    return (int)sum_of(day, domain).failed;
}

/* What is read of a domain today. */
static Tlsrpt__DayRecord *day_of_domain(const char *domain)
{
    struct subject subject = subject_of_domain(TODAY, span_of(domain));

    return counted_read(&counted, &subject);
}

static void counts_are_there_before_and_after_they_are_written(void **state)
{
    (void)state;
    add(TODAY, "a.test");
    add(TODAY, "A.test.");
    add(TODAY, "b.test");
    add(TODAY - 1, "a.test");
    assert_int_equal(failed(TODAY, "a.test"), 2);
    write_all(TODAY);
    assert_int_equal(failed(TODAY, "a.test"), 2);
    add(TODAY, "a.test");
    assert_int_equal(failed(TODAY, "a.test"), 3);
    write_all(TODAY);
    counted_reopen(&counted);
    assert_int_equal(failed(TODAY, "a.test"), 3);
    assert_int_equal(failed(TODAY, "b.test"), 1);
    assert_int_equal(failed(TODAY - 1, "a.test"), 1);
    assert_int_equal(failed(TODAY, "c.test"), 0);
}

static void what_was_not_written_is_lost(void **state)
{
    (void)state;
    add(TODAY, "a.test");
    counted_reopen(&counted);
    assert_int_equal(failed(TODAY, "a.test"), 0);
}

static void successes_and_failures_add_up(void **state)
{
    struct session_event e;
    Tlsrpt__DayRecord *day;
    (void)state;
    event_success(&e, "a.test");
    counted_add(&counted, TODAY, &e.event, 3);
    event_failure(&e, "a.test", TLS_RESULT_CERTIFICATE_EXPIRED);
    counted_add(&counted, TODAY, &e.event, 1);
    write_all(TODAY);
    counted_add(&counted, TODAY, &e.event, 4);
    day = day_of_domain("a.test");
    assert_int_equal(day->n_policies, 1);
    assert_int_equal(day->policies[0]->succeeded, 3);
    assert_int_equal(day->policies[0]->failed, 5);
    assert_int_equal(day->policies[0]->n_failures, 1);
    assert_int_equal(day->policies[0]->failures[0]->sessions, 5);
    assert_int_equal(sum_of(TODAY, "a.test").details, 1);
    counted_free(&day);
}

static void a_session_that_went_well_may_tell_failures(void **state)
{
    struct session_event e;
    Tlsrpt__DayRecord *day;
    (void)state;
    event_failure(&e, "a.test", TLS_RESULT_STS_POLICY_FETCH_ERROR);
    e.event.failed = false;
    counted_add(&counted, TODAY, &e.event, 1);
    day = day_of_domain("a.test");
    assert_int_equal(day->policies[0]->succeeded, 1);
    assert_int_equal(day->policies[0]->failed, 0);
    assert_int_equal(day->policies[0]->failures[0]->sessions, 1);
    counted_free(&day);
}

static void whatever_differs_is_told_apart(void **state)
{
    static const size_t fields[] = {
        offsetof(Ipc__SessionFailure, sending_ip), offsetof(Ipc__SessionFailure, mx_host),
        offsetof(Ipc__SessionFailure, mx_helo),    offsetof(Ipc__SessionFailure, receiving_ip),
        offsetof(Ipc__SessionFailure, additional), offsetof(Ipc__SessionFailure, reason),
    };
    struct session_event e;
    Tlsrpt__DayRecord *day;
    (void)state;
    event_failure(&e, "a.test", TLS_RESULT_CERTIFICATE_EXPIRED);
    counted_add(&counted, TODAY, &e.event, 1);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        event_failure(&e, "a.test", TLS_RESULT_CERTIFICATE_EXPIRED);
        *(ProtobufCBinaryData *)(void *)((char *)&e.failure + fields[i]) = event_bytes("four");
        counted_add(&counted, TODAY, &e.event, 1);
    }
    event_failure(&e, "a.test", TLS_RESULT_CERTIFICATE_NOT_TRUSTED);
    counted_add(&counted, TODAY, &e.event, 1);
    day = day_of_domain("a.test");
    assert_int_equal(day->n_policies, 1);
    assert_int_equal(day->policies[0]->n_failures, 8);
    counted_free(&day);
}

static void failures_with_most_sessions_come_first(void **state)
{
    struct session_event e;
    Tlsrpt__DayRecord *day;
    char host[40];
    (void)state;
    event_failure(&e, "a.test", TLS_RESULT_CERTIFICATE_EXPIRED);
    for (uint64_t i = 0; i < 1000; i++) {
        snprintf(host, sizeof(host), "mx%d.test", (int)i);
        e.failure.mx_host = event_bytes(host);
        counted_add(&counted, TODAY, &e.event, (i * 7) % 1000 + 1);
    }
    day = day_of_domain("a.test");
    assert_int_equal(day->policies[0]->n_failures, 1000);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(day->policies[0]->failures[i]->sessions, 1000 - i);
    counted_free(&day);
    e.failure.mx_host = event_bytes("mx1000.test"); /* one more: in any order */
    counted_add(&counted, TODAY, &e.event, 1);
    day = day_of_domain("a.test");
    assert_int_equal(day->policies[0]->n_failures, 1001);
    counted_free(&day);
}

static void another_policy_is_counted_apart(void **state)
{
    struct session_event e;
    Tlsrpt__DayRecord *day;
    (void)state;
    event_success(&e, "a.test");
    counted_add(&counted, TODAY, &e.event, 1);
    write_all(TODAY);
    e.event.policy_text = event_bytes("version: STSv1\nmode: testing\n");
    counted_add(&counted, TODAY, &e.event, 1);
    write_all(TODAY);
    event_success(&e, "a.test");
    e.event.policy_type = IPC__POLICY_TYPE__TLSA;
    e.event.policy_domain = event_bytes("mx.test");
    e.event.policy_text = event_bytes("3 1 1 AB");
    e.event.n_mx_patterns = 0;
    counted_add(&counted, TODAY, &e.event, 1);
    write_all(TODAY);
    e.event.policy_domain = event_bytes("mx2.test");
    counted_add(&counted, TODAY, &e.event, 1);
    e.event.policy_domain = event_bytes("MX2.test.");
    counted_add(&counted, TODAY, &e.event, 1);
    day = day_of_domain("a.test");
    assert_int_equal(day->n_policies, 4);
    assert_int_equal(day->policies[0]->n_mx_patterns, 1);
    assert_memory_equal(day->policies[0]->domain.data, "a.test", 6);
    assert_memory_equal(day->policies[2]->domain.data, "mx.test", 7);
    assert_int_equal(day->policies[2]->n_mx_patterns, 0);
    assert_int_equal(day->policies[3]->succeeded, 2);
    counted_free(&day);
}

static void policies_are_bounded(void **state)
{
    struct session_event e;
    Tlsrpt__DayRecord *day;
    char text[40];
    (void)state;
    for (int i = 0; i < LEDGER_POLICIES_MAX + 10; i++) {
        event_success(&e, "a.test");
        snprintf(text, sizeof(text), "policy %d", i);
        e.event.policy_text = event_bytes(text);
        counted_add(&counted, TODAY, &e.event, 1);
    }
    e.event.policy_type = IPC__POLICY_TYPE__TLSA;
    e.event.policy_domain = event_bytes("mx.test");
    counted_add(&counted, TODAY, &e.event, 1);
    write_all(TODAY);
    e.event.policy_domain = event_bytes("mx2.test");
    counted_add(&counted, TODAY, &e.event, 1);
    day = day_of_domain("a.test");
    assert_in_range(day->n_policies, LEDGER_POLICIES_MAX + 1, LEDGER_POLICIES_MAX + 2);
    uint64_t sessions = 0;
    for (size_t i = 0; i < day->n_policies; i++) {
        sessions += day->policies[i]->succeeded;
        assert_true(i < LEDGER_POLICIES_MAX || day->policies[i]->text.len == 0);
    }
    assert_int_equal(sessions, LEDGER_POLICIES_MAX + 12);
    counted_free(&day);
}

static void words_of_remote_hosts_are_cut(void **state)
{
    struct session_event e;
    Tlsrpt__DayRecord *day;
    char words[1000];
    (void)state;
    memset(words, 'x', sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    event_failure(&e, "a.test", TLS_RESULT_VALIDATION_FAILURE);
    e.failure.mx_helo = event_bytes(words);
    counted_add(&counted, TODAY, &e.event, 1);
    counted_add(&counted, TODAY, &e.event, 1); /* and still are the same */
    day = day_of_domain("a.test");
    assert_int_equal(day->policies[0]->n_failures, 1);
    assert_int_equal(day->policies[0]->failures[0]->failure->mx_helo.len, COUNTS_TEXT_MAX);
    counted_free(&day);
}

/* --- 100,000 failures */

/* So many that differ in their receiving address, as the role counts them. */
static void add_distinct(int from, int to)
{
    struct session_event e;
    uint8_t ip[16] = { 0x20, 0x01 };

    event_failure(&e, "a.test", TLS_RESULT_CERTIFICATE_EXPIRED);
    e.failure.receiving_ip = (ProtobufCBinaryData){ sizeof(ip), ip };
    for (int i = from; i < to; i++) {
        memcpy(ip + 12, &i, sizeof(i));
        counted_add(&counted, TODAY, &e.event, 1);
        if (tally_is_full(counted.tally))
            write_all(TODAY);
    }
}

static void hundred_thousand_failures_are_told_apart_and_no_more(void **state)
{
    struct tally_sum sum;
    Tlsrpt__DayRecord *day;
    size_t bare = 0;
    (void)state;
    add_distinct(0, LEDGER_DETAILS_MAX);
    sum = sum_of(TODAY, "a.test");
    assert_int_equal(sum.failed, LEDGER_DETAILS_MAX);
    assert_int_equal(sum.details, LEDGER_DETAILS_MAX);
    assert_int_equal(sum.folded, 0);
    add_distinct(LEDGER_DETAILS_MAX - 50, LEDGER_DETAILS_MAX + 50); /* 50 are known */
    sum = sum_of(TODAY, "a.test");
    assert_int_equal(sum.failed, LEDGER_DETAILS_MAX + 100);
    assert_int_equal(sum.details, LEDGER_DETAILS_MAX);
    assert_int_equal(sum.folded, 50);
    day = day_of_domain("a.test");
    assert_int_equal(day->policies[0]->n_failures, LEDGER_DETAILS_MAX + 1);
    for (size_t i = 0; i < day->policies[0]->n_failures; i++) {
        const Tlsrpt__FailureCount *count = day->policies[0]->failures[i];
        bare += count->failure->receiving_ip.len == 0 && count->sessions == 50 &&
                count->failure->result == TLS_RESULT_CERTIFICATE_EXPIRED;
    }
    assert_int_equal(bare, 1);
    counted_free(&day);
}

static void a_hostile_domain_has_its_bytes_and_no_more(void **state)
{
    static const char *const tables[] = { "meta", "day", "subject", "policy", "detail" };
    struct session_event e;
    char words[COUNTS_TEXT_MAX + 1];
    enum kv_trouble trouble;
    struct kv_stat stat;
    struct kv *kv;
    (void)state;
    memset(words, 'x', COUNTS_TEXT_MAX);
    words[COUNTS_TEXT_MAX] = '\0';
    event_failure(&e, "a.test", TLS_RESULT_CERTIFICATE_EXPIRED);
    e.failure.additional = e.failure.reason = e.failure.mx_host = event_bytes(words);
    e.failure.mx_helo = event_bytes(words);
    for (int i = 0; i < 60000; i++) {
        snprintf(words, sizeof(words), "%06d", i);
        words[6] = 'x';
        counted_add(&counted, TODAY, &e.event, 1);
        if (tally_is_full(counted.tally))
            write_all(TODAY);
    }
    write_all(TODAY);
    assert_int_equal(sum_of(TODAY, "a.test").failed, 60000);
    assert_in_range(sum_of(TODAY, "a.test").details, 30000, 50000);
    assert_int_equal(sum_of(TODAY, "a.test").folded, 60000 - sum_of(TODAY, "a.test").details);
    tally_free(&counted.tally);
    database_close(&counted.database);
    assert_null(kv_open(counted.folder, UINT64_C(8) << 30, tables, 5, 0, &kv, &trouble));
    kv_stat(kv, &stat);
    kv_close(&kv);
    assert_true(stat.used_bytes < 3 * (uint64_t)LEDGER_SUBJECT_BYTES);
}

/* As if other domains had taken so much of today. */
static void today_has(uint64_t bytes, uint32_t subjects)
{
    Tlsrpt__UsedRecord used = TLSRPT__USED_RECORD__INIT;
    struct kv_txn *txn = NULL;

    used.bytes = bytes;
    used.subjects = subjects;
    assert_null(kv_begin_write(database_kv(counted.database), &txn));
    assert_null(database_put(txn, DATABASE_META, SPAN("used\x00\x00\x50\x29"), &used.base));
    assert_null(kv_commit(&txn));
}

static void a_day_has_its_domains_and_no_more(void **state)
{
    (void)state;
    add(TODAY, "first.test");
    write_all(TODAY);
    today_has(0, LEDGER_SUBJECTS_MAX - 1);
    add(TODAY, "last.test");
    write_all(TODAY);
    add(TODAY, "more.test");
    note("more.test", TALLY_WISH_NONE, "");
    add(TODAY, "first.test");
    add(TODAY + 1, "more.test");
    assert_int_equal(failed(TODAY, "first.test"), 2);
    assert_int_equal(failed(TODAY, "last.test"), 1);
    assert_int_equal(failed(TODAY, "more.test"), 0);
    assert_int_equal(failed(TODAY + 1, "more.test"), 1);
}

static void a_day_has_its_bytes_and_no_more(void **state)
{
    Tlsrpt__DayRecord *day;
    (void)state;
    add(TODAY, "known.test");
    write_all(TODAY);
    today_has(LEDGER_DAY_BYTES, 1);
    add(TODAY, "known.test");
    add(TODAY, "new.test");
    add(TODAY, "new.test");
    assert_int_equal(sum_of(TODAY, "known.test").details, 1);
    assert_int_equal(sum_of(TODAY, "known.test").folded, 0);
    assert_int_equal(sum_of(TODAY, "new.test").details, 0);
    assert_int_equal(sum_of(TODAY, "new.test").folded, 2);
    day = day_of_domain("new.test");
    assert_int_equal(day->n_policies, 1);
    assert_int_equal(day->policies[0]->text.len, 0);
    assert_int_equal(day->policies[0]->failed, 2);
    assert_int_equal(day->policies[0]->n_failures, 1);
    assert_int_equal(day->policies[0]->failures[0]->failure->mx_host.len, 0);
    counted_free(&day);
}

/* --- what is wished */

struct wish {
    enum tally_wish wish;
    char record[100];
};

static void on_wish(void *ctx, const struct tally_sum *sum)
{
    struct wish *wish = ctx;

    wish->wish = sum->wish;
    span_to_string(sum->record, wish->record, sizeof(wish->record));
}

static struct wish wish_of(const char *domain)
{
    struct subject subject = subject_of_domain(TODAY, span_of(domain));
    struct wish wish = { TALLY_WISH_UNKNOWN, "" };
    bool found;

    assert_null(tally_look(counted.tally, &subject, on_wish, &wish, &found));
    return wish;
}

static void a_record_that_was_seen_stays_for_the_day(void **state)
{
    (void)state;
    add(TODAY, "a.test");
    assert_int_equal(wish_of("a.test").wish, TALLY_WISH_UNKNOWN);
    note("a.test", TALLY_WISH_NONE, "");
    assert_int_equal(wish_of("a.test").wish, TALLY_WISH_NONE);
    note("a.test", TALLY_WISH_SEEN, "v=TLSRPTv1; rua=mailto:one@a.test");
    note("a.test", TALLY_WISH_NONE, "");
    assert_int_equal(wish_of("a.test").wish, TALLY_WISH_SEEN);
    note("a.test", TALLY_WISH_NONE, "");
    note("a.test", TALLY_WISH_UNKNOWN, "");
    assert_string_equal(wish_of("a.test").record, "v=TLSRPTv1; rua=mailto:one@a.test");
    note("a.test", TALLY_WISH_SEEN, "v=TLSRPTv1; rua=mailto:two@a.test");
    counted_reopen(&counted); /* not written yet */
    assert_string_equal(wish_of("a.test").record, "v=TLSRPTv1; rua=mailto:one@a.test");
    note("a.test", TALLY_WISH_SEEN, "v=TLSRPTv1; rua=mailto:two@a.test");
    assert_string_equal(wish_of("a.test").record, "v=TLSRPTv1; rua=mailto:two@a.test");
}

static void a_wish_alone_is_no_count(void **state)
{
    struct subject subject = subject_of_domain(TODAY, SPAN("a.test"));
    bool found = true;
    struct wish wish;
    (void)state;
    note("a.test", TALLY_WISH_SEEN, "v=TLSRPTv1; rua=mailto:one@a.test");
    assert_null(tally_look(counted.tally, &subject, on_wish, &wish, &found));
    assert_false(found);
}

/* --- walking */

struct walked {
    char names[200];
    unsigned most;
};

static bool on_walked(void *ctx, const struct tally_sum *sum)
{
    struct walked *walked = ctx;
    size_t len = strlen(walked->names);

    snprintf(walked->names + len, sizeof(walked->names) - len, "%d%s%s ",
             (int)(TODAY - sum->subject.day), sum->subject.of_host ? "host:" : ":",
             sum->subject.domain);
    return --walked->most > 0;
}

static void all_subjects_are_visited_in_order(void **state)
{
    struct subject host = subject_of_host(TODAY - 1, SPAN("a.test"));
    struct subject from = { .day = 0 };
    struct walked walked = { "", 100 };
    struct session_event e;
    (void)state;
    event_success(&e, "z.test");
    tally_add(counted.tally, &host, &e.event, 1);
    add(TODAY - 1, "b.test");
    add(TODAY - 1, "a.test");
    add(TODAY - 2, "c.test");
    add(TODAY, "a.test");
    assert_null(tally_walk(counted.tally, &from, TODAY, on_walked, &walked));
    assert_string_equal(walked.names, "2:c.test 1:a.test 1:b.test 1host:a.test ");
    walked = (struct walked){ "", 2 };
    from = subject_of_domain(TODAY - 1, SPAN("b.test"));
    assert_null(tally_walk(counted.tally, &from, TODAY + 1, on_walked, &walked));
    assert_string_equal(walked.names, "1:b.test 1host:a.test ");
}

/* --- the store */

static void old_days_are_removed(void **state)
{
    char domain[20];
    (void)state;
    for (int i = 0; i < 1500; i++) {
        snprintf(domain, sizeof(domain), "d%d.test", i);
        add(TODAY - TALLY_DAYS_KEPT - 1, domain);
        note(domain, TALLY_WISH_NONE, "");
    }
    add(TODAY - TALLY_DAYS_KEPT, "kept.test");
    write_all(TODAY - 1);
    assert_int_equal(failed(TODAY - TALLY_DAYS_KEPT - 1, "d1499.test"), 1);
    write_all(TODAY); /* some with each transaction */
    assert_int_equal(failed(TODAY - TALLY_DAYS_KEPT - 1, "d0.test"), 0);
    write_all(TODAY);
    for (int i = 0; i < 1500; i++) {
        snprintf(domain, sizeof(domain), "d%d.test", i);
        assert_int_equal(failed(TODAY - TALLY_DAYS_KEPT - 1, domain), 0);
    }
    assert_int_equal(failed(TODAY - TALLY_DAYS_KEPT, "kept.test"), 1);
}

static void memory_is_bounded_by_early_writes(void **state)
{
    char domain[20];
    int i = 0;
    (void)state;
    while (!tally_is_full(counted.tally)) {
        snprintf(domain, sizeof(domain), "d%d.test", i++);
        add(TODAY, domain);
    }
    assert_in_range(i, 1000, 4096);
    write_all(TODAY);
    assert_false(tally_is_full(counted.tally));
    assert_int_equal(failed(TODAY, "d0.test"), 1);
}

static void damage(void)
{
    char path[100];
    FILE *file;

    snprintf(path, sizeof(path), "%s/data.mdb", counted.folder);
    file = fopen(path, "r+");
    for (int i = 0; i < 8192; i++)
        fputc(0x55, file);
    fclose(file);
}

static size_t set_aside(void)
{
    char pattern[100];
    glob_t found;
    size_t count;

    snprintf(pattern, sizeof(pattern), "%s/damaged-*.mdb", counted.folder);
    count = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return count;
}

static void a_damaged_database_is_set_aside(void **state)
{
    (void)state;
    add(TODAY, "a.test");
    write_all(TODAY);
    damage();
    counted_reopen(&counted);
    assert_int_equal(failed(TODAY, "a.test"), 0);
    add(TODAY, "a.test");
    assert_int_equal(failed(TODAY, "a.test"), 1);
    assert_int_equal(set_aside(), 1);
    damage();
    counted_reopen(&counted);
    assert_int_equal(set_aside(), 2);
}

/* Puts something into the database, which is closed; as a version with these tables. */
static void put_raw(unsigned table, struct span key, struct span value)
{
    static const char *const tables[] = { "meta", "day", "subject" };
    enum kv_trouble trouble;
    struct kv_txn *txn;
    struct kv *kv;

    assert_null(kv_open(counted.folder, 1 << 20, tables, 3, 0, &kv, &trouble));
    assert_null(kv_begin_write(kv, &txn));
    assert_null(kv_put(txn, table, key, value));
    assert_null(kv_commit(&txn));
    kv_close(&kv);
}

static void close_database(void)
{
    tally_free(&counted.tally);
    database_close(&counted.database);
}

static void a_damaged_record_begins_anew(void **state)
{
    (void)state;
    close_database();
    put_raw(2,
            SPAN("\x00\x00\x50\x29\x00"
                 "a.test\x00"),
            SPAN("nonsense"));
    counted_reopen(&counted);
    assert_int_equal(failed(TODAY, "a.test"), 0);
    add(TODAY, "a.test");
    assert_int_equal(failed(TODAY, "a.test"), 1);
}

/* As the disk may leave them. */
static void spoil(kv_table table, struct span key)
{
    struct kv_cursor *cursor = NULL;
    struct span found, value;
    struct kv_txn *txn = NULL;
    char copy[KV_KEY_MAX];

    assert_null(kv_begin_write(database_kv(counted.database), &txn));
    assert_null(kv_cursor_open(txn, table, &cursor));
    assert_null(kv_cursor_seek(cursor, key, &found, &value));
    assert_true(span_starts_with(found, key));
    memcpy(copy, found.data, found.len);
    found.data = copy;
    kv_cursor_close(&cursor);
    assert_null(kv_put(txn, table, found, SPAN("nonsense")));
    assert_null(kv_commit(&txn));
}

static void damaged_rows_are_passed_over(void **state)
{
    static const struct span key = { "\x00\x00\x50\x29\x00"
                                     "a.test",
                                     12 };
    Tlsrpt__DayRecord *day;
    (void)state;
    add(TODAY, "a.test");
    note("a.test", TALLY_WISH_SEEN, "v=TLSRPTv1; rua=mailto:one@a.test");
    write_all(TODAY);
    spoil(DATABASE_WISH, key);
    assert_int_equal(wish_of("a.test").wish, TALLY_WISH_UNKNOWN);
    spoil(DATABASE_DETAIL, key);
    day = day_of_domain("a.test");
    assert_int_equal(day->policies[0]->n_failures, 0);
    assert_int_equal(day->policies[0]->failed, 1);
    counted_free(&day);
    spoil(DATABASE_POLICY, key);
    day = day_of_domain("a.test");
    assert_int_equal(day->n_policies, 0);
    counted_free(&day);
    assert_int_equal(failed(TODAY, "a.test"), 1);
    add(TODAY, "a.test");
    assert_int_equal(failed(TODAY, "a.test"), 2);
}

static void a_newer_database_is_refused(void **state)
{
    struct error *err;
    int exit_status;
    (void)state;
    close_database();
    put_raw(0, SPAN("version"), SPAN("\x03\x00\x00\x00"));
    err = database_open(counted.folder, &counted.database, &exit_status);
    assert_non_null(err);
    assert_non_null(strstr(error_text(err), "newer waxseal"));
    assert_int_equal(exit_status, 78);
    assert_null(counted.database);
    error_free(&err);
}

static void a_folder_that_is_not_there_is_refused(void **state)
{
    struct database *database = NULL;
    struct error *err;
    int exit_status;
    (void)state;
    err = database_open("/nonexistent/tlsrpt", &database, &exit_status);
    assert_non_null(err);
    assert_int_equal(exit_status, 78);
    error_free(&err);
}

/* --- what version 1 kept */

/* A record as it stood there: behind the sum of key and bytes. */
static void put_day(const char *domain, const Tlsrpt__DayRecord *day)
{
    char key[100] = "\x00\x00\x50\x29";
    size_t len = tlsrpt__day_record__get_packed_size(day);
    char value[4000];
    struct span key_span = { key, 4 + strlen(domain) };

    memcpy(key + 4, domain, strlen(domain));
    assert_true(len + 4 < sizeof(value));
    tlsrpt__day_record__pack(day, (uint8_t *)value + 4);
    database_put_number(value,
                        kv_checksum(kv_checksum(0, key_span), (struct span){ value + 4, len }));
    put_raw(1, key_span, (struct span){ value, len + 4 });
}

static void counts_of_version_1_are_read(void **state)
{
    Tlsrpt__DayRecord day = TLSRPT__DAY_RECORD__INIT;
    Tlsrpt__PolicyCount policy = TLSRPT__POLICY_COUNT__INIT;
    Tlsrpt__PolicyCount *policies[] = { &policy };
    Tlsrpt__FailureCount count = TLSRPT__FAILURE_COUNT__INIT;
    Tlsrpt__FailureCount *counts[] = { &count };
    Tlsrpt__DayRecord *got;
    struct session_event e;
    (void)state;
    event_failure(&e, "a.test", TLS_RESULT_CERTIFICATE_EXPIRED);
    day.policies = policies;
    day.n_policies = 1;
    policy.type = IPC__POLICY_TYPE__STS;
    policy.domain = event_bytes("a.test");
    policy.text = e.event.policy_text;
    policy.mx_patterns = e.event.mx_patterns;
    policy.n_mx_patterns = 1;
    policy.succeeded = 7;
    policy.failed = 2;
    policy.failures = counts;
    policy.n_failures = 1;
    count.failure = &e.failure;
    count.sessions = 3;
    close_database();
    put_day("a.test", &day);
    put_day("b.test", &day);
    put_raw(1, SPAN("\x00\x00\x50\x29z.test"), SPAN("nonsense"));
    put_raw(0, SPAN("version"), SPAN("\x01\x00\x00\x00"));
    counted_reopen(&counted);
    counted_add(&counted, TODAY, &e.event, 1); /* the same policy, and the same failure */
    got = day_of_domain("a.test");
    assert_int_equal(got->n_policies, 1);
    assert_int_equal(got->policies[0]->succeeded, 7);
    assert_int_equal(got->policies[0]->failed, 3);
    assert_int_equal(got->policies[0]->n_mx_patterns, 1);
    assert_int_equal(got->policies[0]->n_failures, 1);
    assert_int_equal(got->policies[0]->failures[0]->sessions, 4);
    counted_free(&got);
    assert_int_equal(failed(TODAY, "b.test"), 2);
    counted_reopen(&counted); /* once only */
    assert_int_equal(failed(TODAY, "b.test"), 2);
}

#define STORE_TEST(title, function)                                                                \
    {                                                                                              \
        title, function, setup, teardown, 0                                                        \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STORE_TEST("tally: counts are there before and after they are written",
                   counts_are_there_before_and_after_they_are_written),
        STORE_TEST("tally: what was not written is lost, and nothing else",
                   what_was_not_written_is_lost),
        STORE_TEST("tally: successes and failures add up", successes_and_failures_add_up),
        STORE_TEST("tally: a session that went well may tell failures (RFC 8460 s.4.3)",
                   a_session_that_went_well_may_tell_failures),
        STORE_TEST("tally: whatever differs is told apart", whatever_differs_is_told_apart),
        STORE_TEST("tally: failures with most sessions come first",
                   failures_with_most_sessions_come_first),
        STORE_TEST("tally: another policy, or a changed one, is counted apart",
                   another_policy_is_counted_apart),
        STORE_TEST("tally: policies are bounded", policies_are_bounded),
        STORE_TEST("tally: words of remote hosts are cut", words_of_remote_hosts_are_cut),
        STORE_TEST("tally: 100,000 failures are told apart; more are counted by their result",
                   hundred_thousand_failures_are_told_apart_and_no_more),
        STORE_TEST("tally: a hostile domain has its bytes, and no more",
                   a_hostile_domain_has_its_bytes_and_no_more),
        STORE_TEST("tally: a day has its domains, and no more; those that are known go on",
                   a_day_has_its_domains_and_no_more),
        STORE_TEST("tally: a day has its bytes, and no more; totals go on",
                   a_day_has_its_bytes_and_no_more),
        STORE_TEST("tally: a TLSRPT record that was seen stays for the day (RPT-4)",
                   a_record_that_was_seen_stays_for_the_day),
        STORE_TEST("tally: a wish alone is no count", a_wish_alone_is_no_count),
        STORE_TEST("tally: all subjects are visited in order, domains before hosts",
                   all_subjects_are_visited_in_order),
        STORE_TEST("tally: old days are removed, some with each transaction", old_days_are_removed),
        STORE_TEST("tally: memory is bounded by early writes", memory_is_bounded_by_early_writes),
        STORE_TEST("tally: a damaged database is set aside and a new one begun",
                   a_damaged_database_is_set_aside),
        STORE_TEST("tally: a damaged record begins anew", a_damaged_record_begins_anew),
        STORE_TEST("tally: damaged rows are passed over", damaged_rows_are_passed_over),
        STORE_TEST("tally: a newer version's database is refused", a_newer_database_is_refused),
        STORE_TEST("tally: a folder that is not there is refused",
                   a_folder_that_is_not_there_is_refused),
        STORE_TEST("tally: the counts of version 1 are read, once", counts_of_version_1_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
