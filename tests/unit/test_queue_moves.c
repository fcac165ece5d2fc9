#include "tests/support/test.h"

#include "tests/support/two_queues.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/ipc/channel.h"
#include "queue/records.pb-c.h"
#include "queue/store_damage.h"
#include "queue/transfer.h"

/* ---- what is held -----------------------------------------------------------------------------
 */

static void hold_as_operator(uint64_t id, uint32_t number)
{
    static struct change change;
    change = (struct change){ .kind = CHANGE_HOLD, .count = 1, .places = { { id, number } } };
    change.act = (struct history_act){ .action = "hold", .uid = 7, .words = SPAN("phishing") };
    change_prepare(&change);
    assert_int_equal(store_rig_commit(&first, &change.operation), OPERATION_COMMITTED);
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
    accept.id = store_new_id(first.store);
    accept_prepare(&accept);
    assert_int_equal(store_rig_commit(&first, &accept.operation), OPERATION_COMMITTED);
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

/* As after a power cut that LMDB could not mend; with NULL its row goes. */
static void spoil_held(uint64_t id, const char *record)
{
    struct record_key key = key_of_id(id);
    struct kv_txn *txn;
    assert_null(kv_begin_write(store_kv(first.store), &txn));
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
    must(queue_export(&first.settings, first.folder, folder, &report));
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
    must(queue_export(&first.settings, first.folder, folder, &report));
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
    assert_int_equal(store_rig_commit(&first, &damage->operation), OPERATION_COMMITTED);
    free(damage);
    assert_int_equal(store_usage(first.store).damaged_messages, 1);
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
    assert_int_equal(store_rig_change(&first, CHANGE_HOLD, large_id), 1);
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

/* As when three workers died of another recipient of it. */
static void nor_does_a_hold_of_the_relays_own(void **state)
{
    (void)state;
    set_large_aside();
    hold_as_operator(large_id, 0);
    for (int i = 0; i < 3; i++) {
        struct deaths *deaths = deaths_new(&large_id, 1);
        assert_int_equal(store_rig_commit(&first, &deaths->operation), OPERATION_COMMITTED);
        deaths_free(&deaths);
    }
    move_by_salvage();
    assert_recipient_held(
        assert_held_for("its content is damaged; phishing; three delivery workers "
                        "died while they held this message",
                        8));
}

/* Old versions of its rows, from before it was held, come up as well. */
static void where_the_tree_is_lost_what_was_held_stays_so(void **state)
{
    (void)state;
    hold_as_operator(large_id, 0);
    for (int i = 0; i < 3; i++)
        store_rig_accept(&first, "ada@sender.test", "bob@example.net", SPAN("later\r\n"));
    close_stores();
    lose_tree();
    must(queue_salvage(&other.settings, other.folder, first.folder, &report));
    assert_true(report.is_stale);
    assert_int_equal(report.messages, MESSAGES + 4);
    assert_recipient_held(assert_held_for("phishing", 8));
}

/* As when an old version of a recipient's row is all that is left of it. */
static void put_held_row_alone(uint64_t id)
{
    struct record_key key = key_of_id(id);
    Queue__HeldRecord record = QUEUE__HELD_RECORD__INIT;
    char room[128];
    struct kv_txn *txn;
    record.reason = bytes_of_span(SPAN("phishing"));
    record.since_utc_ms = 1;
    record.by = 8;
    record_write(TABLE_HELD, key_span(&key), &record.base, room);
    assert_null(kv_begin_write(store_kv(first.store), &txn));
    assert_null(
        kv_put(txn, TABLE_HELD, key_span(&key), (struct span){ room, record_size(&record.base) }));
    assert_null(kv_commit(&txn));
}

static void a_row_that_may_be_old_is_held_where_its_message_was(void **state)
{
    put_held_row_alone(large_id);
    move_by_salvage();
    assert_all_arrived(); /* the tree is whole: nobody of it was held */
    assert_int_equal(store_rig_count(&other, TABLE_HELD), 0);
    close_rigs(state);
    open_rigs(state);
    put_held_row_alone(large_id);
    close_stores();
    lose_tree();
    must(queue_salvage(&other.settings, other.folder, first.folder, &report));
    assert_recipient_held(assert_held_for("phishing", 8));
}

/* ---- ids --------------------------------------------------------------------------------------
 */

static unsigned said;
static char last_said[256];

static void on_say(void *ctx, const char *sentence)
{
    (void)ctx;
    said++;
    assert_true(span_to_string(span_of(sentence), last_said, sizeof(last_said)));
}

static void listen_to_report(void)
{
    said = 0;
    report = (struct queue_report){ .say = on_say };
}

static void what_moves_into_an_empty_queue_keeps_its_id(void **state)
{
    listen_to_report();
    move_by_export();
    assert_all_arrived();
    assert_int_equal(last_id(&other), large_id);
    assert_true(store_new_id(other.store) > large_id);
    close_rigs(state);
    open_rigs(state);
    listen_to_report();
    move_by_salvage();
    assert_all_arrived();
    assert_int_equal(last_id(&other), large_id);
    assert_true(store_new_id(other.store) > large_id);
    assert_int_equal(said, 0);
}

/* Salvages all of it once more, into the queue in which it is or was; each gets another id. */
static void salvage_again(void)
{
    char before[QID_TEXT_SIZE];
    char now[QID_TEXT_SIZE];
    char sentence[64];
    listen_to_report();
    store_close(&other.store);
    must(queue_salvage(&other.settings, other.folder, first.folder, &report));
    assert_int_equal(report.messages, MESSAGES + 1);
    assert_int_equal(report.damaged, 0);
    assert_int_equal(said, MESSAGES + 1);
    store_rig_reopen(&other);
    uint64_t id = last_id(&other);
    assert_true(id > large_id);
    qid_format(large_id, before);
    qid_format(id, now);
    assert_true(snprintf(sentence, sizeof(sentence), "message %s is %s here", before, now) > 0);
    assert_string_equal(last_said, sentence);
}

static void assert_large_is_whole(void)
{
    struct span content = store_rig_content(&other, large_id);
    assert_true(span_equal(content, (struct span){ large, sizeof(large) }));
    free((void *)(uintptr_t)content.data);
}

static void salvage_tells_of_a_recipient_that_is_missing(void **state)
{
    (void)state;
    uint64_t id = a_message_half_held();
    struct record_key key = key_of_part(id, 0);
    char text[QID_TEXT_SIZE];
    char sentence[128];
    struct kv_txn *txn;
    assert_null(kv_begin_write(store_kv(first.store), &txn));
    assert_null(kv_put(txn, TABLE_RECIPIENT, key_span(&key), SPAN("no record at all")));
    assert_null(kv_commit(&txn));
    close_stores();
    listen_to_report();
    must(queue_salvage(&other.settings, other.folder, first.folder, &report));
    assert_int_equal(report.messages, MESSAGES + 2);
    assert_int_equal(report.damaged, 1);
    qid_format(id, text);
    assert_true(snprintf(sentence, sizeof(sentence),
                         "message %s could not be read whole: 1 of its 2 recipients are missing",
                         text) > 0);
    assert_string_equal(last_said, sentence);
    assert_int_equal(assert_held_for("phishing", 8), id);
    assert_recipient(id, 1, true);
}

static void where_mail_waits_ids_are_new_and_told(void **state)
{
    (void)state;
    move_by_salvage();
    store_rig_reopen(&other);
    salvage_again();
    assert_large_is_whole();
    assert_int_equal(store_usage(other.store).messages, 2 * (MESSAGES + 1));
}

/* Nothing waits there, but ids are somebody's. */
static void an_id_that_is_in_use_is_left_to_who_has_it(void **state)
{
    (void)state;
    move_by_salvage();
    store_rig_reopen(&other);
    store_rig_change(&other, CHANGE_HOLD, 0);
    assert_int_equal(store_rig_count(&other, TABLE_DUE), 0);
    salvage_again();
    assert_large_is_whole();
    assert_int_equal(store_usage(other.store).messages, 2 * (MESSAGES + 1));
    assert_int_equal(store_rig_count(&other, TABLE_HELD), MESSAGES + 1);
}

static void an_id_of_the_history_is_left_to_who_had_it(void **state)
{
    (void)state;
    move_by_salvage();
    store_rig_reopen(&other);
    store_rig_change(&other, CHANGE_REMOVE, 0);
    assert_int_equal(store_rig_count(&other, TABLE_MESSAGE), 0);
    salvage_again();
    assert_int_equal(store_usage(other.store).messages, MESSAGES + 1);
}

/* Writes a message without content to a file, under this id. */
static void write_file(uint64_t id)
{
    Queue__ExportRecord record = QUEUE__EXPORT_RECORD__INIT;
    Queue__RecipientRecord *recipient;
    char path[128];
    record.message = store_rig_message(&first, large_id);
    record.message->size = 0;
    assert_true(store_rig_recipient(&first, large_id, 0, &recipient));
    record.recipients = &recipient;
    record.n_recipients = 1;
    record.id = id;
    assert_true(snprintf(path, sizeof(path), "%s/old.message", folder) > 0);
    must(transfer_write(path, &record, NULL, NULL));
    queue__message_record__free_unpacked(record.message, NULL);
    queue__recipient_record__free_unpacked(recipient, NULL);
}

static void an_id_that_is_not_known_or_far_ahead_is_a_new_one(void **state)
{
    (void)state;
    const uint64_t ids[] = { 0, UINT64_MAX, large_id + 1024 * 1024 };
    const char *const names[] = { "/old.message is ", "message ffffffffffffffff is ", "message " };
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        write_file(ids[i]);
        listen_to_report();
        close_stores();
        must(queue_import(&other.settings, other.folder, folder, &report));
        assert_int_equal(report.messages, 1);
        assert_int_equal(said, 1);
        if (!strstr(last_said, names[i]))
            fail_msg("%s", last_said);
        store_rig_reopen(&other);
        assert_true(last_id(&other) != ids[i] && last_id(&other) < large_id + 1024 * 1024);
        store_rig_change(&other, CHANGE_REMOVE, 0);
        store_rig_reopen(&first);
    }
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rigs, close_rigs, NULL                                               \
    }

int main(void)
{
    log_open(STDERR_FILENO, LOG_ERROR, "test");
    const struct CMUnitTest tests[] = {
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
        TEST("nor does a hold of the relay's own", nor_does_a_hold_of_the_relays_own),
        TEST("where the tree is lost what was held stays so",
             where_the_tree_is_lost_what_was_held_stays_so),
        TEST("a row that may be old is held where its message was",
             a_row_that_may_be_old_is_held_where_its_message_was),
        TEST("what moves into an empty queue keeps its id",
             what_moves_into_an_empty_queue_keeps_its_id),
        TEST("salvage tells of a recipient that is missing, and takes the others",
             salvage_tells_of_a_recipient_that_is_missing),
        TEST("where mail waits ids are new, and told", where_mail_waits_ids_are_new_and_told),
        TEST("an id that is in use is left to who has it",
             an_id_that_is_in_use_is_left_to_who_has_it),
        TEST("an id of the history is left to who had it",
             an_id_of_the_history_is_left_to_who_had_it),
        TEST("an id that is not known, or is far ahead, becomes a new one",
             an_id_that_is_not_known_or_far_ahead_is_a_new_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
