#include "tests/support/test.h"

#include "tests/support/two_queues.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/ipc/channel.h"
#include "queue/records.pb-c.h"

/* ---- export and import ------------------------------------------------------------------------
 */

static void what_is_exported_is_imported_whole(void **state)
{
    (void)state;
    close_stores();
    must(queue_export(&first.settings, first.folder, folder, &report));
    assert_int_equal(report.messages, MESSAGES + 1);
    report = (struct queue_report){ 0 };
    must(queue_import(&other.settings, other.folder, folder, &report));
    assert_int_equal(report.messages, MESSAGES + 1);
    assert_int_equal(report.damaged, 0);
    assert_all_arrived();
    store_rig_reopen(&first);
    assert_int_equal(store_usage(first.store).messages, MESSAGES + 1); /* it is left as it was */
}

static void a_second_import_takes_nothing_twice(void **state)
{
    (void)state;
    close_stores();
    must(queue_export(&first.settings, first.folder, folder, &report));
    must(queue_import(&other.settings, other.folder, folder, &report));
    report = (struct queue_report){ 0 };
    must(queue_import(&other.settings, other.folder, folder, &report));
    assert_int_equal(report.messages, 0);
    assert_all_arrived();
}

static void attempts_and_times_are_kept(void **state)
{
    (void)state;
    Queue__RecipientRecord *before;
    Queue__RecipientRecord *after;
    struct settle settle =
        store_rig_settle(&first, large_id, 0, IPC__RESULT_KIND__DEFERRED, "4.2.1", false);
    settle_clear(&settle);
    assert_true(store_rig_recipient(&first, large_id, 0, &before));
    close_stores();
    must(queue_export(&first.settings, first.folder, folder, &report));
    must(queue_import(&other.settings, other.folder, folder, &report));
    store_rig_reopen(&other);
    assert_true(store_rig_recipient(&other, last_id(&other), 0, &after));
    assert_int_equal(after->attempts, 1);
    assert_int_equal(after->due_utc_ms, before->due_utc_ms);
    queue__recipient_record__free_unpacked(before, NULL);
    queue__recipient_record__free_unpacked(after, NULL);
}

static void a_damaged_file_is_named_and_left_out(void **state)
{
    (void)state;
    struct buf path;
    char id[QID_TEXT_SIZE];
    close_stores();
    must(queue_export(&first.settings, first.folder, folder, &report));
    qid_format(large_id, id);
    buf_init(&path, 200);
    assert_true(buf_printf(&path, "%s/%s.message", folder, id) && buf_append(&path, SPAN("\0")));
    int fd = open(buf_span(&path).data, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "y", 1, LARGE / 2), 1);
    close(fd);
    buf_clear(&path);
    report = (struct queue_report){ 0 };
    must(queue_import(&other.settings, other.folder, folder, &report));
    assert_int_equal(report.messages, MESSAGES);
    assert_int_equal(report.damaged, 1);
}

static void a_running_queue_is_not_exported(void **state)
{
    (void)state;
    struct error *err = queue_export(&first.settings, first.folder, folder, &report);
    assert_non_null(err);
    error_free(&err);
}

/* ---- salvage ----------------------------------------------------------------------------------
 */

static void a_queue_without_damage_is_salvaged_whole(void **state)
{
    (void)state;
    uint64_t gone =
        store_rig_accept(&first, "ada@sender.test", "bob@example.net", SPAN("gone\r\n"));
    struct settle settle =
        store_rig_settle(&first, gone, 0, IPC__RESULT_KIND__DELIVERED, "2.0.0", false);
    settle_clear(&settle);
    close_stores();
    must(queue_salvage(&other.settings, other.folder, first.folder, &report));
    assert_int_equal(report.messages, MESSAGES + 1); /* what was delivered does not come back */
    assert_int_equal(report.damaged, 0);
    assert_false(report.is_stale);
    assert_all_arrived();
}

static void a_damaged_chunk_costs_one_message(void **state)
{
    (void)state;
    static char page[4096];
    static char wanted[4096];
    bool spoilt = false;
    close_stores();
    memset(wanted, 'x', sizeof(wanted));
    int fd = open_data();
    for (off_t at = 0; pread(fd, page, sizeof(page), at) == sizeof(page); at += sizeof(page))
        if (!spoilt && memcmp(page, wanted, sizeof(page)) == 0)
            spoilt = pwrite(fd, "y", 1, at + 100) == 1;
    close(fd);
    assert_true(spoilt);
    must(queue_salvage(&other.settings, other.folder, first.folder, &report));
    assert_int_equal(report.messages, MESSAGES);
    assert_int_equal(report.damaged, 1);
    store_rig_reopen(&other);
    assert_int_equal(store_rig_count(&other, TABLE_RECEIVING), 0);
}

static void nothing_ends_the_salvage_of_random_damage(void **state)
{
    (void)state;
    struct stat st;
    uint32_t dice = 12345;
    close_stores();
    int fd = open_data();
    assert_int_equal(fstat(fd, &st), 0);
    for (int i = 0; i < 40; i++) { /* pages overwritten with noise, the metas too at times */
        static uint32_t noise[1024];
        for (size_t j = 0; j < sizeof(noise) / sizeof(noise[0]); j++)
            noise[j] = dice = dice * 1664525U + 1013904223U;
        off_t page = (off_t)(dice >> 8) % (st.st_size / 4096);
        assert_int_equal(pwrite(fd, noise, sizeof(noise), page * 4096), sizeof(noise));
    }
    close(fd);
    must(queue_salvage(&other.settings, other.folder, first.folder, &report));
    store_rig_reopen(&other);
    assert_int_equal(store_usage(other.store).messages, report.messages);
    assert_true(report.messages <= MESSAGES + 1);
}

static void a_lost_root_does_not_lose_the_messages(void **state)
{
    (void)state;
    close_stores();
    lose_tree();
    must(queue_salvage(&other.settings, other.folder, first.folder, &report));
    assert_true(report.is_stale);
    assert_int_equal(report.messages, MESSAGES + 1);
    assert_all_arrived();
}

static void a_file_cut_short_gives_what_is_left(void **state)
{
    (void)state;
    struct stat st;
    close_stores();
    int fd = open_data();
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(ftruncate(fd, st.st_size / 2 / 4096 * 4096), 0);
    close(fd);
    must(queue_salvage(&other.settings, other.folder, first.folder, &report));
    store_rig_reopen(&other);
    assert_int_equal(store_usage(other.store).messages, report.messages);
}

static void the_queue_in_use_is_not_salvaged_into_itself(void **state)
{
    (void)state;
    close_stores();
    struct error *err = queue_salvage(&first.settings, first.folder, first.folder, &report);
    assert_non_null(err);
    assert_non_null(strstr(error_text(err), "move it aside"));
    error_free(&err);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rigs, close_rigs, NULL                                               \
    }

int main(void)
{
    log_open(STDERR_FILENO, LOG_ERROR, "test");
    const struct CMUnitTest tests[] = {
        TEST("what is exported is imported whole", what_is_exported_is_imported_whole),
        TEST("a second import takes nothing twice", a_second_import_takes_nothing_twice),
        TEST("attempts and times are kept", attempts_and_times_are_kept),
        TEST("a damaged file is counted and left out", a_damaged_file_is_named_and_left_out),
        TEST("a running queue is not exported", a_running_queue_is_not_exported),
        TEST("a queue without damage is salvaged whole, without what was delivered",
             a_queue_without_damage_is_salvaged_whole),
        TEST("a damaged chunk costs one message", a_damaged_chunk_costs_one_message),
        TEST("nothing ends the salvage of random damage",
             nothing_ends_the_salvage_of_random_damage),
        TEST("branch pages that are lost lose no message", a_lost_root_does_not_lose_the_messages),
        TEST("a file cut short gives what is left", a_file_cut_short_gives_what_is_left),
        TEST("the queue in use is not salvaged into itself",
             the_queue_in_use_is_not_salvaged_into_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
