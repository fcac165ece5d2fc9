#include "tests/support/test.h"

#include "tests/support/store_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "queue/records.pb-c.h"
#include "queue/store_damage.h"
#include "queue/tools.h"

enum { LARGE = 100 * CHUNK_BYTES + 77, MESSAGES = 60 };

static struct store_rig rig;   /* the queue with mail in it */
static struct store_rig other; /* where the mail goes */
static char folder[64];        /* of exported files */
static char large[LARGE];
static uint64_t large_id;
static struct queue_report report;

static int open_rigs(void **state)
{
    (void)state;
    store_rig_open(&rig);
    store_rig_open(&other);
    strcpy(folder, "/tmp/waxseal-export.XXXXXX");
    assert_non_null(mkdtemp(folder));
    memset(large, 'x', sizeof(large));
    for (int i = 0; i < MESSAGES; i++)
        store_rig_accept(&rig, "ada@sender.test", "bob@example.net",
                         SPAN("Subject: small\r\n\r\n"));
    large_id = store_rig_accept(&rig, "eve@sender.test", "tom@example.com",
                                (struct span){ large, sizeof(large) });
    report = (struct queue_report){ 0 };
    return 0;
}

static int close_rigs(void **state)
{
    (void)state;
    store_rig_close(&rig);
    store_rig_close(&other);
    remove_folder(folder);
    return 0;
}

/* The tools want the queues closed, as the relay is stopped. */
static void close_stores(void)
{
    store_close(&rig.store);
    store_close(&other.store);
}

static void must(struct error *err)
{
    if (err)
        fail_msg("%s", error_text(err));
}

static uint64_t last_id(struct store_rig *of)
{
    struct kv_txn *txn;
    struct kv_cursor *cursor;
    struct span key;
    struct span value;
    uint64_t id = 0;
    assert_null(kv_begin_read(store_kv(of->store), &txn));
    assert_null(kv_cursor_open(txn, TABLE_MESSAGE, &cursor));
    assert_null(kv_cursor_last(cursor, &key, &value));
    assert_true(key_read_id(key, &id));
    kv_cursor_close(&cursor);
    kv_abort(&txn);
    return id;
}

static void assert_all_arrived(void)
{
    store_rig_reopen(&other);
    assert_int_equal(store_usage(other.store).messages, MESSAGES + 1);
    assert_int_equal(store_rig_count(&other, TABLE_DUE), MESSAGES + 1);
    assert_int_equal(store_rig_count(&other, TABLE_RECEIVING), 0);
    struct span content = store_rig_content(&other, last_id(&other));
    assert_true(span_equal(content, (struct span){ large, sizeof(large) }));
    free((void *)(uintptr_t)content.data);
}

/* ---- export and import ------------------------------------------------------------------------
 */

static void what_is_exported_is_imported_whole(void **state)
{
    (void)state;
    close_stores();
    must(queue_export(&rig.settings, rig.folder, folder, &report));
    assert_int_equal(report.messages, MESSAGES + 1);
    report = (struct queue_report){ 0 };
    must(queue_import(&other.settings, other.folder, folder, &report));
    assert_int_equal(report.messages, MESSAGES + 1);
    assert_int_equal(report.damaged, 0);
    assert_all_arrived();
    store_rig_reopen(&rig);
    assert_int_equal(store_usage(rig.store).messages, MESSAGES + 1); /* it is left as it was */
}

static void a_second_import_takes_nothing_twice(void **state)
{
    (void)state;
    close_stores();
    must(queue_export(&rig.settings, rig.folder, folder, &report));
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
        store_rig_settle(&rig, large_id, 0, IPC__RESULT_KIND__DEFERRED, "4.2.1", false);
    settle_clear(&settle);
    assert_true(store_rig_recipient(&rig, large_id, 0, &before));
    close_stores();
    must(queue_export(&rig.settings, rig.folder, folder, &report));
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
    must(queue_export(&rig.settings, rig.folder, folder, &report));
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

static int open_data(void)
{
    struct buf path;
    buf_init(&path, 200);
    assert_true(buf_printf(&path, "%s/data.mdb", rig.folder) && buf_append(&path, SPAN("\0")));
    int fd = open(buf_span(&path).data, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    buf_clear(&path);
    return fd;
}

static void lose_tree(void)
{
    static char page[4096];
    uint16_t flags;
    int fd = open_data();
    for (off_t at = 2 * 4096; pread(fd, page, sizeof(page), at) == sizeof(page);
         at += sizeof(page)) {
        memcpy(&flags, page + 10, sizeof(flags));
        if (flags == 1) { /* every branch page */
            memset(page, 0xff, sizeof(page));
            assert_int_equal(pwrite(fd, page, sizeof(page), at), sizeof(page));
        }
    }
    close(fd);
}

/* ---- what is held -----------------------------------------------------------------------------
 */

static void hold_as_operator(uint64_t id, uint32_t number)
{
    static struct change change;
    change = (struct change){ .kind = CHANGE_HOLD, .count = 1, .places = { { id, number } } };
    change.act = (struct history_act){ .action = "hold", .uid = 7, .words = SPAN("phishing") };
    change_prepare(&change);
    assert_int_equal(store_rig_commit(&rig, &change.operation), OPERATION_COMMITTED);
    change_clear(&change);
}

/* To bob@example.net and eve@example.net, the second of whom an operator (uid 7) holds. */
static uint64_t a_message_half_held(void)
{
    struct envelope envelope;
    struct address address;
    envelope_init(&envelope);
    assert_int_equal(address_parse_reverse(SPAN("ada@sender.test"), &envelope.reverse_path),
                     ADDRESS_FINE);
    assert_int_equal(address_parse(SPAN("bob@example.net"), &address), ADDRESS_FINE);
    envelope_add(&envelope, &address);
    assert_int_equal(address_parse(SPAN("eve@example.net"), &address), ADDRESS_FINE);
    envelope_add(&envelope, &address);
    struct accept accept = { .last = true, .envelope = &envelope };
    accept.id = store_new_id(rig.store);
    accept_prepare(&accept);
    assert_int_equal(store_rig_commit(&rig, &accept.operation), OPERATION_COMMITTED);
    envelope_clear(&envelope);
    hold_as_operator(accept.id, 1);
    return accept.id;
}

/* Of the one message that is held; to be freed. */
static Queue__HeldRecord *held_record(struct store_rig *of, uint64_t *out_id)
{
    struct kv_txn *txn;
    struct kv_cursor *cursor;
    struct span key;
    struct span value;
    assert_int_equal(store_rig_count(of, TABLE_HELD), 1);
    assert_null(kv_begin_read(store_kv(of->store), &txn));
    assert_null(kv_cursor_open(txn, TABLE_HELD, &cursor));
    assert_null(kv_cursor_last(cursor, &key, &value));
    assert_true(key_read_id(key, out_id));
    Queue__HeldRecord *held =
        record_read(TABLE_HELD, key, value, &queue__held_record__descriptor, NULL);
    kv_cursor_close(&cursor);
    kv_abort(&txn);
    assert_non_null(held);
    return held;
}

static uint64_t assert_held_for(const char *reason, uint32_t by)
{
    uint64_t id;
    store_rig_reopen(&other);
    Queue__HeldRecord *held = held_record(&other, &id);
    if (!span_equal(span_of_bytes(held->reason), span_of(reason)))
        fail_msg("held: \"" SPAN_FMT "\"", SPAN_ARG(span_of_bytes(held->reason)));
    assert_int_equal(held->by, by);
    assert_true(held->since_utc_ms > 0);
    assert_false(held->damaged);
    queue__held_record__free_unpacked(held, NULL);
    return id;
}

static void assert_recipient(uint64_t id, uint32_t number, bool is_held)
{
    Queue__RecipientRecord *recipient;
    assert_true(store_rig_recipient(&other, id, number, &recipient));
    assert_int_equal(recipient->held, is_held);
    assert_true(span_equal(span_of_bytes(recipient->next_hop), SPAN("example.net")));
    queue__recipient_record__free_unpacked(recipient, NULL);
}

/* Bob's is tried, Eve's waits until an operator releases it. */
static void assert_half_held(const char *reason, uint32_t by)
{
    uint64_t id = assert_held_for(reason, by);
    assert_recipient(id, 0, false);
    assert_recipient(id, 1, true);
    assert_int_equal(store_rig_count(&other, TABLE_DUE), MESSAGES + 2);
    assert_int_equal(store_rig_count(&other, TABLE_RECIPIENT), MESSAGES + 3);
    assert_int_equal(store_usage(other.store).damaged_messages, 0);
    assert_int_equal(store_rig_change(&other, CHANGE_RELEASE, id), 1);
    assert_recipient(id, 1, false);
    assert_int_equal(store_rig_count(&other, TABLE_DUE), MESSAGES + 3);
    assert_int_equal(store_rig_count(&other, TABLE_HELD), 0);
}

static void move_by_export(void)
{
    close_stores();
    must(queue_export(&rig.settings, rig.folder, folder, &report));
    assert_int_equal(report.damaged, 0);
    must(queue_import(&other.settings, other.folder, folder, &report));
    assert_int_equal(report.damaged, 0);
}

static void move_by_salvage(void)
{
    close_stores();
    must(queue_salvage(&other.settings, other.folder, rig.folder, &report));
    assert_int_equal(report.damaged, 0);
}

/* As after a power cut that LMDB could not mend; with NULL its row goes. */
static void spoil_held(uint64_t id, const char *record)
{
    struct record_key key = key_of_id(id);
    struct kv_txn *txn;
    assert_null(kv_begin_write(store_kv(rig.store), &txn));
    if (record)
        assert_null(kv_put(txn, TABLE_HELD, key_span(&key), span_of(record)));
    else
        assert_null(kv_remove(txn, TABLE_HELD, key_span(&key)));
    assert_null(kv_commit(&txn));
}

static void what_is_held_is_held_where_it_is_imported(void **state)
{
    (void)state;
    a_message_half_held();
    move_by_export();
    assert_half_held("phishing", 8);
}

static void what_is_held_is_held_when_it_is_salvaged(void **state)
{
    (void)state;
    a_message_half_held();
    move_by_salvage();
    assert_half_held("phishing", 8);
}

static const char unknown[] = "it was held in the queue it comes from; why could not be read there";

static void without_its_reason_it_is_held_all_the_same(void **state)
{
    (void)state;
    const char *const spoilt[] = { NULL, "no record at all" };
    for (size_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
        spoil_held(a_message_half_held(), spoilt[i]);
        move_by_export();
        assert_half_held(unknown, 0);
        close_rigs(state);
        open_rigs(state);
        spoil_held(a_message_half_held(), spoilt[i]);
        move_by_salvage();
        assert_half_held(unknown, 0);
        close_rigs(state);
        open_rigs(state);
    }
}

static int open_file(uint64_t id)
{
    char text[QID_TEXT_SIZE];
    char path[128];
    qid_format(id, text);
    assert_true(snprintf(path, sizeof(path), "%s/%s.message", folder, text) > 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void assert_first_line(uint64_t id, const char *line)
{
    char start[32] = "";
    int fd = open_file(id);
    assert_int_equal(pread(fd, start, strlen(line), 0), (ssize_t)strlen(line));
    assert_string_equal(start, line);
    close(fd);
}

/* The version before exported what was held in the first format, without a reason, and took in no
 * other format. */
static void the_version_before_is_understood_and_releases_nothing(void **state)
{
    (void)state;
    uint64_t id = a_message_half_held();
    spoil_held(id, NULL);
    close_stores();
    must(queue_export(&rig.settings, rig.folder, folder, &report));
    assert_first_line(id, "waxseal-message 2\n");
    assert_first_line(large_id, "waxseal-message 1\n");
    int fd = open_file(id);
    assert_int_equal(pwrite(fd, "1", 1, 16), 1);
    close(fd);
    must(queue_import(&other.settings, other.folder, folder, &report));
    assert_int_equal(report.damaged, 0);
    assert_half_held(unknown, 0);
}

static void a_format_that_is_not_known_is_left_alone(void **state)
{
    (void)state;
    close_stores();
    must(queue_export(&rig.settings, rig.folder, folder, &report));
    int fd = open_file(large_id);
    assert_int_equal(pwrite(fd, "3", 1, 16), 1);
    close(fd);
    report = (struct queue_report){ 0 };
    must(queue_import(&other.settings, other.folder, folder, &report));
    assert_int_equal(report.messages, MESSAGES);
    assert_int_equal(report.damaged, 1);
    close(open_file(large_id)); /* it is there still */
}

static void set_large_aside(void)
{
    struct damage *damage = damage_new(large_id, SPAN("example.com"), "its content is damaged", 1);
    damage->places[0].number = 0;
    damage->places[0].is_delivered = false;
    assert_int_equal(store_rig_commit(&rig, &damage->operation), OPERATION_COMMITTED);
    free(damage);
    assert_int_equal(store_usage(rig.store).damaged_messages, 1);
}

static void what_was_set_aside_and_can_be_read_whole_is_tried(void **state)
{
    (void)state;
    set_large_aside();
    move_by_export();
    assert_all_arrived();
    assert_int_equal(store_rig_count(&other, TABLE_HELD), 0);
    close_rigs(state);
    open_rigs(state);
    set_large_aside();
    move_by_salvage();
    assert_all_arrived();
    assert_int_equal(store_rig_count(&other, TABLE_HELD), 0);
}

static void assert_recipient_held(uint64_t id)
{
    Queue__RecipientRecord *recipient;
    assert_true(store_rig_recipient(&other, id, 0, &recipient));
    assert_true(recipient->held);
    queue__recipient_record__free_unpacked(recipient, NULL);
    struct span content = store_rig_content(&other, id);
    assert_true(span_equal(content, (struct span){ large, sizeof(large) }));
    free((void *)(uintptr_t)content.data);
}

static void damage_does_not_release_what_an_operator_holds(void **state)
{
    (void)state;
    assert_int_equal(store_rig_change(&rig, CHANGE_HOLD, large_id), 1);
    set_large_aside();
    move_by_salvage();
    assert_recipient_held(assert_held_for("because; its content is damaged", 8));
    close_rigs(state);
    open_rigs(state);
    set_large_aside();
    hold_as_operator(large_id, 0);
    move_by_salvage();
    assert_recipient_held(assert_held_for("its content is damaged; phishing", 8));
}

/* Old versions of its rows, from before it was held, come up as well. */
static void where_the_tree_is_lost_what_was_held_stays_so(void **state)
{
    (void)state;
    hold_as_operator(large_id, 0);
    for (int i = 0; i < 3; i++)
        store_rig_accept(&rig, "ada@sender.test", "bob@example.net", SPAN("later\r\n"));
    close_stores();
    lose_tree();
    must(queue_salvage(&other.settings, other.folder, rig.folder, &report));
    assert_true(report.is_stale);
    assert_int_equal(report.messages, MESSAGES + 4);
    assert_recipient_held(assert_held_for("phishing", 8));
}

static void a_running_queue_is_not_exported(void **state)
{
    (void)state;
    struct error *err = queue_export(&rig.settings, rig.folder, folder, &report);
    assert_non_null(err);
    error_free(&err);
}

/* ---- salvage ----------------------------------------------------------------------------------
 */

static void a_queue_without_damage_is_salvaged_whole(void **state)
{
    (void)state;
    uint64_t gone = store_rig_accept(&rig, "ada@sender.test", "bob@example.net", SPAN("gone\r\n"));
    struct settle settle =
        store_rig_settle(&rig, gone, 0, IPC__RESULT_KIND__DELIVERED, "2.0.0", false);
    settle_clear(&settle);
    close_stores();
    must(queue_salvage(&other.settings, other.folder, rig.folder, &report));
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
    must(queue_salvage(&other.settings, other.folder, rig.folder, &report));
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
    must(queue_salvage(&other.settings, other.folder, rig.folder, &report));
    store_rig_reopen(&other);
    assert_int_equal(store_usage(other.store).messages, report.messages);
    assert_true(report.messages <= MESSAGES + 1);
}

static void a_lost_root_does_not_lose_the_messages(void **state)
{
    (void)state;
    close_stores();
    lose_tree();
    must(queue_salvage(&other.settings, other.folder, rig.folder, &report));
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
    must(queue_salvage(&other.settings, other.folder, rig.folder, &report));
    store_rig_reopen(&other);
    assert_int_equal(store_usage(other.store).messages, report.messages);
}

static void the_queue_in_use_is_not_salvaged_into_itself(void **state)
{
    (void)state;
    close_stores();
    struct error *err = queue_salvage(&rig.settings, rig.folder, rig.folder, &report);
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
        TEST("what is held is held where it is imported, with its reason",
             what_is_held_is_held_where_it_is_imported),
        TEST("what is held is held when it is salvaged, with its reason",
             what_is_held_is_held_when_it_is_salvaged),
        TEST("without its reason it is held all the same",
             without_its_reason_it_is_held_all_the_same),
        TEST("the version before is understood, and does not take in what is held",
             the_version_before_is_understood_and_releases_nothing),
        TEST("a format that is not known is left alone", a_format_that_is_not_known_is_left_alone),
        TEST("what was set aside for damage and can be read whole is tried",
             what_was_set_aside_and_can_be_read_whole_is_tried),
        TEST("damage does not release what an operator holds",
             damage_does_not_release_what_an_operator_holds),
        TEST("where the tree is lost what was held stays so",
             where_the_tree_is_lost_what_was_held_stays_so),
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
