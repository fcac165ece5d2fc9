#include "tests/support/test.h"

#include "lib/io/kv.h"
#include "tests/support/session_event.h"
#include "tlsrpt/tally.h"

#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TODAY = 20521 };

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/var/tmp/waxseal-tally-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct tally *opened(void)
{
    struct tally *tally = NULL;
    int exit_status;
    struct error *err = tally_open(folder, &tally, &exit_status);

    if (err)
        fail_msg("%s", error_text(err));
    return tally;
}

static void add(struct tally *tally, uint32_t day, const char *domain)
{
    struct session_event e;

    event_failure(&e, domain, TLS_RESULT_CERTIFICATE_EXPIRED);
    assert_null(tally_add(tally, day, &e.event));
}

/* How many failed sessions are counted. */
static int failed(struct tally *tally, uint32_t day, const char *domain)
{
    const Tlsrpt__DayRecord *record;

    assert_null(tally_look(tally, day, span_of(domain), &record));
    return record ? (int)record->policies[0]->failed : 0;
}

static void counts_are_there_before_and_after_they_are_written(void **state)
{
    struct tally *tally = opened();
    (void)state;
    add(tally, TODAY, "a.test");
    add(tally, TODAY, "A.test");
    add(tally, TODAY, "b.test");
    add(tally, TODAY - 1, "a.test");
    assert_int_equal(failed(tally, TODAY, "a.test"), 2);
    assert_null(tally_write(tally, TODAY));
    assert_int_equal(failed(tally, TODAY, "a.test"), 2);
    add(tally, TODAY, "a.test");
    assert_int_equal(failed(tally, TODAY, "a.test"), 3);
    assert_null(tally_write(tally, TODAY));
    tally_close(&tally);
    tally = opened();
    assert_int_equal(failed(tally, TODAY, "a.test"), 3);
    assert_int_equal(failed(tally, TODAY, "b.test"), 1);
    assert_int_equal(failed(tally, TODAY - 1, "a.test"), 1);
    assert_int_equal(failed(tally, TODAY, "c.test"), 0);
    tally_close(&tally);
}

static void what_was_not_written_is_lost(void **state)
{
    struct tally *tally = opened();
    (void)state;
    add(tally, TODAY, "a.test");
    tally_close(&tally);
    tally = opened();
    assert_int_equal(failed(tally, TODAY, "a.test"), 0);
    tally_close(&tally);
}

static void old_days_are_removed(void **state)
{
    struct tally *tally = opened();
    char domain[20];
    (void)state;
    for (int i = 0; i < 600; i++) {
        snprintf(domain, sizeof(domain), "d%d.test", i);
        add(tally, TODAY - TALLY_DAYS_KEPT - 1, domain);
    }
    add(tally, TODAY - TALLY_DAYS_KEPT, "kept.test");
    assert_null(tally_write(tally, TODAY - 1));
    assert_int_equal(failed(tally, TODAY - TALLY_DAYS_KEPT - 1, "d599.test"), 1);
    for (int i = 0; i < 3; i++) /* some with each transaction */
        assert_null(tally_write(tally, TODAY));
    assert_int_equal(failed(tally, TODAY - TALLY_DAYS_KEPT - 1, "d0.test"), 0);
    assert_int_equal(failed(tally, TODAY - TALLY_DAYS_KEPT - 1, "d599.test"), 0);
    assert_int_equal(failed(tally, TODAY - TALLY_DAYS_KEPT, "kept.test"), 1);
    tally_close(&tally);
}

static void memory_is_bounded_by_early_writes(void **state)
{
    struct tally *tally = opened();
    char domain[20];
    int i = 0;
    (void)state;
    while (!tally_is_full(tally)) {
        snprintf(domain, sizeof(domain), "d%d.test", i++);
        add(tally, TODAY, domain);
    }
    assert_true(i <= 4096);
    assert_null(tally_write(tally, TODAY));
    assert_false(tally_is_full(tally));
    assert_int_equal(failed(tally, TODAY, "d0.test"), 1);
    tally_close(&tally);
}

static void damage(void)
{
    char path[100];
    FILE *file;

    snprintf(path, sizeof(path), "%s/data.mdb", folder);
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

    snprintf(pattern, sizeof(pattern), "%s/damaged-*.mdb", folder);
    count = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return count;
}

static void a_damaged_database_is_set_aside(void **state)
{
    struct tally *tally = opened();
    (void)state;
    add(tally, TODAY, "a.test");
    assert_null(tally_write(tally, TODAY));
    tally_close(&tally);
    damage();
    tally = opened();
    assert_int_equal(failed(tally, TODAY, "a.test"), 0);
    add(tally, TODAY, "a.test");
    assert_null(tally_write(tally, TODAY));
    assert_int_equal(failed(tally, TODAY, "a.test"), 1);
    tally_close(&tally);
    assert_int_equal(set_aside(), 1);
    damage();
    tally = opened();
    tally_close(&tally);
    assert_int_equal(set_aside(), 2);
}

static void put_raw(unsigned table, struct span key, struct span value)
{
    static const char *const tables[] = { "meta", "day" };
    enum kv_trouble trouble;
    struct kv_txn *txn;
    struct kv *kv;

    assert_null(kv_open(folder, 1 << 20, tables, 2, 0, &kv, &trouble));
    assert_null(kv_begin_write(kv, &txn));
    assert_null(kv_put(txn, table, key, value));
    assert_null(kv_commit(&txn));
    kv_close(&kv);
}

static void a_damaged_record_begins_anew(void **state)
{
    struct tally *tally;
    (void)state;
    put_raw(1,
            SPAN("\x00\x00\x50\x29"
                 "a.test"),
            SPAN("nonsense"));
    put_raw(1,
            SPAN("\x00\x00\x50\x29"
                 "b.test"),
            SPAN("x"));
    tally = opened();
    assert_int_equal(failed(tally, TODAY, "b.test"), 0);
    add(tally, TODAY, "a.test");
    assert_int_equal(failed(tally, TODAY, "a.test"), 1);
    tally_close(&tally);
}

static void a_newer_database_is_refused(void **state)
{
    struct tally *tally = NULL;
    struct error *err;
    int exit_status;
    (void)state;
    put_raw(0, SPAN("version"), SPAN("\x02\x00\x00\x00"));
    err = tally_open(folder, &tally, &exit_status);
    assert_non_null(err);
    assert_non_null(strstr(error_text(err), "newer waxseal"));
    assert_int_equal(exit_status, 78);
    assert_null(tally);
    error_free(&err);
}

static void a_folder_that_is_not_there_is_refused(void **state)
{
    struct tally *tally = NULL;
    struct error *err;
    int exit_status;
    (void)state;
    err = tally_open("/nonexistent/tlsrpt", &tally, &exit_status);
    assert_non_null(err);
    assert_int_equal(exit_status, 78);
    error_free(&err);
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
        STORE_TEST("tally: old days are removed, some with each transaction", old_days_are_removed),
        STORE_TEST("tally: memory is bounded by early writes", memory_is_bounded_by_early_writes),
        STORE_TEST("tally: a damaged database is set aside and a new one begun",
                   a_damaged_database_is_set_aside),
        STORE_TEST("tally: a damaged record begins anew", a_damaged_record_begins_anew),
        STORE_TEST("tally: a newer version's database is refused", a_newer_database_is_refused),
        STORE_TEST("tally: a folder that is not there is refused",
                   a_folder_that_is_not_there_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
