#include "tests/support/test.h"

#include "tlsrpt/outbox.h"

#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum { TODAY = 20521 };

/* A store in a folder of its own. */
struct rig {
    char folder[64];
    struct database *database;
    struct outbox *outbox;
};

static void open_rig(struct rig *rig)
{
    int exit_status;
    struct error *err = database_open(rig->folder, &rig->database, &exit_status);

    if (err)
        fail_msg("%s", error_text(err));
    rig->outbox = outbox_new(rig->database);
}

static void close_rig(struct rig *rig)
{
    outbox_free(&rig->outbox);
    database_close(&rig->database);
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    strcpy(rig->folder, "/var/tmp/waxseal-outbox-XXXXXX");
    *state = rig;
    if (!mkdtemp(rig->folder))
        return -1;
    open_rig(rig);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    close_rig(rig);
    nftw(rig->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(rig);
    return 0;
}

static struct subject report_of(uint32_t day, const char *domain)
{
    struct subject report = { .day = day };

    strcpy(report.domain, domain);
    return report;
}

static Tlsrpt__OutboxRecord *record_of(int64_t due_ms)
{
    Tlsrpt__OutboxRecord *record = outbox_record_new(SPAN("id@relay.test"), due_ms);

    outbox_record_add(record, SPAN("mailto:a@b.test"));
    outbox_record_add(record, SPAN("https://b.test/"));
    return record;
}

static void put(struct rig *rig, uint32_t day, const char *domain, int64_t due_ms)
{
    struct subject report = report_of(day, domain);
    Tlsrpt__OutboxRecord *record = record_of(due_ms);

    assert_null(outbox_put(rig->outbox, &report, record));
    outbox_record_free(&record);
}

/* All that is due, as text, in its order. */
static const char *dues(struct rig *rig)
{
    static char text[5000];
    struct outbox_place place = { .len = 0 };
    struct subject report;
    int64_t utc_ms;
    bool found = true;

    text[0] = '\0';
    while (found) {
        assert_null(outbox_next_due(rig->outbox, &place, &report, &utc_ms, &found));
        if (found)
            sprintf(text + strlen(text), "%s%s@%d ", report.domain, report.of_host ? "(host)" : "",
                    (int)utc_ms);
    }
    return text;
}

static void what_was_put_is_there_after_a_restart(void **state)
{
    struct rig *rig = *state;
    struct subject report = report_of(TODAY, "a.test");
    Tlsrpt__OutboxRecord *record;

    put(rig, TODAY, "a.test", 500);
    close_rig(rig);
    open_rig(rig);
    assert_null(outbox_get(rig->outbox, &report, &record));
    assert_int_equal(record->n_destinations, 2);
    assert_memory_equal(record->report_id.data, "id@relay.test", 13);
    assert_memory_equal(record->destinations[1]->uri.data, "https://b.test/", 15);
    assert_int_equal(record->destinations[1]->state, TLSRPT__OUTBOX_STATE__WAITING);
    assert_int_equal(record->destinations[1]->next_try_utc_ms, 500);
    outbox_record_free(&record);
    assert_string_equal(dues(rig), "a.test@500 ");
}

static void a_report_that_is_not_there_gives_nothing(void **state)
{
    struct rig *rig = *state;
    struct subject report = report_of(TODAY, "a.test");
    Tlsrpt__OutboxRecord *record;

    assert_string_equal(dues(rig), "");
    put(rig, TODAY, "a.test", 500);
    report.of_host = true;
    assert_null(outbox_get(rig->outbox, &report, &record));
    assert_null(record);
}

static void what_is_due_comes_in_the_order_of_time(void **state)
{
    struct rig *rig = *state;
    struct subject host = report_of(TODAY, "b.test");
    Tlsrpt__OutboxRecord *record = record_of(20);

    put(rig, TODAY, "a.test", 300);
    put(rig, TODAY - 1, "c.test", 256);
    put(rig, TODAY, "b.test", -5);
    host.of_host = true;
    assert_null(outbox_put(rig->outbox, &host, record));
    outbox_record_free(&record);
    assert_string_equal(dues(rig), "b.test@0 b.test(host)@20 c.test@256 a.test@300 ");
}

static void a_record_is_due_when_the_first_that_waits_is(void **state)
{
    struct rig *rig = *state;
    struct subject report = report_of(TODAY, "a.test");
    Tlsrpt__OutboxRecord *record = record_of(100);

    record->destinations[0]->next_try_utc_ms = 700;
    record->destinations[1]->next_try_utc_ms = 400;
    assert_null(outbox_put(rig->outbox, &report, record));
    assert_string_equal(dues(rig), "a.test@400 ");
    record->destinations[1]->state = TLSRPT__OUTBOX_STATE__DELIVERED;
    assert_null(outbox_put(rig->outbox, &report, record));
    assert_string_equal(dues(rig), "a.test@700 ");
    record->destinations[0]->state = TLSRPT__OUTBOX_STATE__DROPPED;
    assert_null(outbox_put(rig->outbox, &report, record));
    assert_string_equal(dues(rig), "");
    outbox_record_free(&record);
}

static void answers_are_cut_to_what_is_kept(void **state)
{
    Tlsrpt__OutboxRecord *record = record_of(100);
    char words[400];

    (void)state;
    memset(words, 'x', sizeof(words));
    outbox_set_answer(record->destinations[0], (struct span){ words, sizeof(words) });
    assert_int_equal(record->destinations[0]->answer.len, OUTBOX_ANSWER_MAX);
    outbox_set_answer(record->destinations[0], SPAN(""));
    assert_int_equal(record->destinations[0]->answer.len, 0);
    outbox_record_free(&record);
    outbox_record_free(&record);
}

static void several_are_put_in_one_go(void **state)
{
    struct rig *rig = *state;
    struct outbox_entry entries[3];

    for (int i = 0; i < 3; i++) {
        char domain[] = { (char)('a' + i), '\0' };
        entries[i] = (struct outbox_entry){ report_of(TODAY, domain), record_of(10 * i) };
    }
    uint64_t waiting;
    assert_null(outbox_count(rig->outbox, &waiting));
    assert_int_equal(waiting, 0);
    assert_null(outbox_put_all(rig->outbox, entries, 3));
    assert_null(outbox_count(rig->outbox, &waiting));
    assert_int_equal(waiting, 3);
    assert_string_equal(dues(rig), "a@0 b@10 c@20 ");
    for (int i = 0; i < 3; i++)
        outbox_record_free(&entries[i].record);
}

static void a_damaged_record_counts_for_none_and_goes_when_it_is_old(void **state)
{
    struct rig *rig = *state;
    struct subject report = report_of(TODAY, "a.test");
    Tlsrpt__OutboxRecord *record;
    struct kv_txn *txn = NULL;
    struct subject_key key = subject_key(&report);
    bool all;

    put(rig, TODAY, "a.test", 500);
    for (int i = 0; i < 2; i++) {
        assert_null(kv_begin_write(database_kv(rig->database), &txn));
        assert_null(kv_put(txn, DATABASE_OUTBOX, subject_key_span(&key),
                           i == 0 ? SPAN("abc") : SPAN("no record at all")));
        assert_null(kv_commit(&txn));
        assert_null(outbox_get(rig->outbox, &report, &record));
        assert_null(record);
    }
    assert_string_equal(dues(rig), "a.test@500 "); /* who finds no record passes it over */
    struct outbox_place place = { .len = 0 };
    int64_t utc_ms;
    bool found;
    assert_null(outbox_next_due(rig->outbox, &place, &report, &utc_ms, &found));
    assert_null(outbox_pass_over(rig->outbox, &place));
    assert_string_equal(dues(rig), "");
    assert_null(outbox_sweep(rig->outbox, TODAY + 1, &all));
    assert_true(all);
}

static void old_reports_are_removed_and_are_due_no_more(void **state)
{
    struct rig *rig = *state;
    char domain[20];
    bool all;
    int rounds = 0;

    for (int i = 0; i < 150; i++) {
        snprintf(domain, sizeof(domain), "d%d.test", i);
        put(rig, TODAY - 11, domain, 5);
    }
    put(rig, TODAY - 10, "kept.test", 7);
    do {
        assert_null(outbox_sweep(rig->outbox, TODAY - 10, &all));
        rounds++;
    } while (!all);
    assert_int_equal(rounds, 3);
    assert_string_equal(dues(rig), "kept.test@7 ");
    assert_null(outbox_sweep(rig->outbox, TODAY - 10, &all));
    assert_true(all);
}

static void answered(struct rig *rig, const char *domain, int64_t first_ms, int64_t second_ms)
{
    struct subject subject = report_of(TODAY, domain);
    Tlsrpt__OutboxRecord *record = record_of(1);

    record->destinations[0]->answered_utc_ms = first_ms;
    record->destinations[1]->answered_utc_ms = second_ms;
    assert_null(outbox_put(rig->outbox, &subject, record));
    outbox_record_free(&record);
}

static const char *sent(struct rig *rig)
{
    static char text[5000];
    struct outbox_place place = { .len = 0 };
    struct subject subject;
    bool found = true;

    text[0] = '\0';
    while (found) {
        assert_null(outbox_next_sent(rig->outbox, &place, &subject, &found));
        if (found)
            sprintf(text + strlen(text), "%s ", subject.domain);
    }
    return text;
}

static void what_was_sent_last_stands_first(void **state)
{
    struct rig *rig = *state;
    bool all;

    assert_string_equal(sent(rig), "");
    answered(rig, "none.test", 0, 0);
    answered(rig, "a.test", 1000, 3000);
    answered(rig, "b.test", 2000, 0);
    answered(rig, "c.test", 0, 70000);
    assert_string_equal(sent(rig), "c.test a.test b.test ");
    answered(rig, "b.test", 80000, 0); /* in one place only */
    assert_string_equal(sent(rig), "b.test c.test a.test ");
    assert_null(outbox_sweep(rig->outbox, TODAY + 1, &all));
    assert_string_equal(sent(rig), "");
}

/* A disk of one megabyte in the rig's place, for this process alone; false: it may not have one. */
static bool mount_small_disk(struct rig *rig)
{
    if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    close_rig(rig);
    bool is_mounted = mount("none", rig->folder, "tmpfs", 0, "size=1m") == 0;
    open_rig(rig);
    return is_mounted;
}

static void a_full_disk_changes_nothing_and_is_told_apart(void **state)
{
    struct rig *rig = *state;
    struct error *err = NULL;
    char domain[40];
    int count = 0;

    if (!mount_small_disk(rig))
        skip();
    assert_false(outbox_is_full(rig->outbox));
    while (!err && count < 20000) {
        struct subject report;
        Tlsrpt__OutboxRecord *record = record_of(5);
        snprintf(domain, sizeof(domain), "d%d.test", count++);
        report = report_of(TODAY, domain);
        err = outbox_put(rig->outbox, &report, record);
        outbox_record_free(&record);
    }
    assert_non_null(err);
    error_free(&err);
    assert_true(outbox_is_full(rig->outbox));
    Tlsrpt__OutboxRecord *record;
    struct subject first = report_of(TODAY, "d0.test");
    assert_null(outbox_get(rig->outbox, &first, &record));
    assert_non_null(record);
    assert_false(outbox_is_full(rig->outbox));
    outbox_record_free(&record);
    close_rig(rig);
    assert_int_equal(umount(rig->folder), 0);
    open_rig(rig);
}

#define RIG_TEST(title, function)                                                                  \
    {                                                                                              \
        title, function, setup, teardown, NULL                                                     \
    }

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST("what was put is there after a restart", what_was_put_is_there_after_a_restart),
        RIG_TEST("a report that is not there gives nothing",
                 a_report_that_is_not_there_gives_nothing),
        RIG_TEST("what is due comes in the order of time", what_is_due_comes_in_the_order_of_time),
        RIG_TEST("a record is due when the first destination that waits is",
                 a_record_is_due_when_the_first_that_waits_is),
        RIG_TEST("answers are cut to what is kept", answers_are_cut_to_what_is_kept),
        RIG_TEST("several are put in one go", several_are_put_in_one_go),
        RIG_TEST("a damaged record counts for none and goes when it is old",
                 a_damaged_record_counts_for_none_and_goes_when_it_is_old),
        RIG_TEST("old reports are removed and are due no more",
                 old_reports_are_removed_and_are_due_no_more),
        RIG_TEST("what was sent last stands first", what_was_sent_last_stands_first),
        RIG_TEST("a full disk changes nothing and is told apart from others",
                 a_full_disk_changes_nothing_and_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
