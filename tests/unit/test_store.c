#include "tests/support/test.h"

#include "tests/support/one_store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/role.h"
#include "queue/leases.h"
#include "queue/records.pb-c.h"
#include "queue/store_history.h"
#include "queue/store_hops.h"
#include "queue/store_read.h"

static void settle_as(uint64_t id, Ipc__ResultKind kind, const char *status)
{
    struct settle settle = store_rig_settle(&rig, id, 0, kind, status, false);
    settle_clear(&settle);
}

static void assert_nothing_waits(void)
{
    static const enum queue_table tables[] = { TABLE_MESSAGE,   TABLE_CONTENT, TABLE_RECEIVING,
                                               TABLE_RECIPIENT, TABLE_DUE,     TABLE_WAKE,
                                               TABLE_HOP,       TABLE_HELD };
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        assert_int_equal(store_rig_count(&rig, tables[i]), 0);
    assert_int_equal(store_usage(rig.store).bytes, 0);
    assert_int_equal(store_usage(rig.store).messages, 0);
}

/* ---- accepting --------------------------------------------------------------------------------
 */

static void an_accepted_message_is_there_after_a_restart(void **state)
{
    (void)state;
    uint64_t id = a_message();
    store_rig_reopen(&rig);
    struct span content = store_rig_content(&rig, id);
    assert_true(span_equal(content, mail));
    assert_int_equal(store_usage(rig.store).messages, 1);
    assert_int_equal(store_rig_count(&rig, TABLE_DUE), 1);
    assert_int_equal(store_rig_count(&rig, TABLE_WAKE), 1);
    free((void *)(uintptr_t)content.data);
}

static void what_was_committed_survives_a_crash(void **state)
{
    (void)state;
    store_close(&rig.store);
    pid_t child = fork();
    if (child == 0) {
        struct store *store;
        int exit_status;
        struct error *err =
            store_open(rig.folder, store_limits_of(&rig.settings), 1000, &store, &exit_status);
        if (err)
            _exit(2);
        store_set_schedule(store, &rig.settings);
        rig.store = store;
        for (int i = 0; i < 10; i++)
            if (a_message() == 0)
                _exit(3);
        _exit(0); /* nothing is closed */
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    store_rig_reopen(&rig);
    assert_int_equal(store_usage(rig.store).messages, 10);
    assert_int_equal(store_rig_count(&rig, TABLE_RECIPIENT), 10);
}

static void ids_never_step_back_over_a_restart(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (int i = 0; i < 5; i++) {
        uint64_t id = store_new_id(rig.store);
        assert_true(id > last);
        last = id;
        store_rig_reopen(&rig);
    }
}

static struct accept a_part(uint64_t id, uint32_t first_chunk, struct span content,
                            const struct envelope *last_with)
{
    struct accept accept = { .id = id, .first_chunk = first_chunk, .content = content };
    accept.last = last_with != NULL;
    accept.envelope = last_with;
    accept.size = (uint64_t)first_chunk * CHUNK_BYTES + content.len;
    accept_prepare(&accept);
    return accept;
}

static void a_message_in_parts_becomes_whole_with_the_last(void **state)
{
    (void)state;
    char *content = memory_new(10 * CHUNK_BYTES + 5);
    struct envelope envelope;
    struct address address;
    memset(content, 'x', 10 * CHUNK_BYTES + 5);
    envelope_init(&envelope);
    assert_int_equal(address_parse(SPAN("bob@example.net"), &address), ADDRESS_FINE);
    envelope_add(&envelope, &address);
    uint64_t id = store_new_id(rig.store);
    struct accept first = a_part(id, 0, (struct span){ content, 8 * CHUNK_BYTES }, NULL);
    assert_int_equal(store_rig_commit(&rig, &first.operation), OPERATION_COMMITTED);
    assert_int_equal(store_rig_count(&rig, TABLE_RECEIVING), 1);
    assert_int_equal(store_rig_count(&rig, TABLE_MESSAGE), 0);
    struct accept last =
        a_part(id, 8, (struct span){ content + 8 * CHUNK_BYTES, 2 * CHUNK_BYTES + 5 }, &envelope);
    assert_int_equal(store_rig_commit(&rig, &last.operation), OPERATION_COMMITTED);
    assert_int_equal(store_rig_count(&rig, TABLE_RECEIVING), 0);
    struct span back = store_rig_content(&rig, id);
    assert_true(span_equal(back, (struct span){ content, 10 * CHUNK_BYTES + 5 }));
    settle_as(id, IPC__RESULT_KIND__DELIVERED, "2.0.0");
    assert_nothing_waits();
    free((void *)(uintptr_t)back.data);
    free(content);
    envelope_clear(&envelope);
}

static void what_never_became_whole_is_swept(void **state)
{
    (void)state;
    char *content = memory_new(3 * CHUNK_BYTES);
    uint64_t id = store_new_id(rig.store);
    struct accept first = a_part(id, 0, (struct span){ content, 3 * CHUNK_BYTES }, NULL);
    store_rig_commit(&rig, &first.operation);
    assert_int_equal(store_usage(rig.store).bytes, 3 * 4 * 4096); /* it counts */
    store_rig_reopen(&rig);
    uint64_t *ids;
    size_t count;
    assert_null(store_unfinished(rig.store, &ids, &count));
    assert_int_equal(count, 1);
    struct discard discard = { .id = ids[0] };
    discard_prepare(&discard);
    store_rig_commit(&rig, &discard.operation);
    assert_nothing_waits();
    free(ids);
    free(content);
}

/* ---- settling ---------------------------------------------------------------------------------
 */

static void a_delivered_message_leaves_only_its_history(void **state)
{
    (void)state;
    uint64_t id = a_message();
    settle_as(id, IPC__RESULT_KIND__DELIVERED, "2.0.0");
    assert_nothing_waits();
    assert_int_equal(store_rig_count(&rig, TABLE_HISTORY), 1);
}

static void a_retry_keeps_its_priority(void **state)
{
    static const struct {
        int priority;
        enum due_class due_class;
    } rows[] = { { 4, DUE_URGENT }, { -9, DUE_LOW } };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        Queue__RecipientRecord *recipient;
        rig.priority = rows[i].priority;
        uint64_t id = a_message();
        rig.priority = 0;
        assert_true(store_rig_recipient(&rig, id, 0, &recipient));
        assert_int_equal(recipient->due_class, rows[i].due_class);
        queue__recipient_record__free_unpacked(recipient, NULL);
        settle_as(id, IPC__RESULT_KIND__DEFERRED, "4.2.1");
        assert_true(store_rig_recipient(&rig, id, 0, &recipient));
        assert_int_equal(recipient->due_class, rows[i].due_class);
        queue__recipient_record__free_unpacked(recipient, NULL);
    }
}

static void a_deferred_recipient_waits_for_its_retry(void **state)
{
    (void)state;
    Queue__RecipientRecord *recipient;
    uint64_t id = a_message();
    int64_t now_ms = clock_utc_ms();
    settle_as(id, IPC__RESULT_KIND__DEFERRED, "4.2.1");
    assert_true(store_rig_recipient(&rig, id, 0, &recipient));
    assert_int_equal(recipient->attempts, 1);
    assert_int_equal(recipient->due_class, DUE_RETRY);
    assert_true(recipient->due_utc_ms >= now_ms + 4 * MINUTE_MS);
    assert_true(recipient->due_utc_ms <= now_ms + 6 * MINUTE_MS);
    assert_int_equal(store_rig_count(&rig, TABLE_DUE), 1);
    queue__recipient_record__free_unpacked(recipient, NULL);
}

static void an_outcome_applied_twice_counts_once(void **state)
{
    (void)state;
    Queue__RecipientRecord *recipient;
    uint64_t id = a_message();
    struct settle settle =
        store_rig_settle(&rig, id, 0, IPC__RESULT_KIND__DEFERRED, "4.2.1", false);
    store_rig_commit(&rig, &settle.operation);
    assert_int_equal(settle.count, 0);
    assert_true(store_rig_recipient(&rig, id, 0, &recipient));
    assert_int_equal(recipient->attempts, 1);
    queue__recipient_record__free_unpacked(recipient, NULL);
    settle_clear(&settle);
}

static void an_outcome_for_a_message_that_is_gone_changes_nothing(void **state)
{
    (void)state;
    uint64_t id = a_message();
    settle_as(id, IPC__RESULT_KIND__DELIVERED, "2.0.0");
    settle_as(id, IPC__RESULT_KIND__FAILED, "5.1.1");
    assert_nothing_waits();
    assert_int_equal(store_rig_count(&rig, TABLE_HISTORY), 1);
}

static void an_unknown_policy_is_not_an_attempt(void **state)
{
    (void)state;
    Queue__RecipientRecord *recipient;
    uint64_t id = a_message();
    int64_t now_ms = clock_utc_ms();
    settle_as(id, IPC__RESULT_KIND__POLICY_UNKNOWN, "");
    assert_true(store_rig_recipient(&rig, id, 0, &recipient));
    assert_int_equal(recipient->attempts, 0);
    assert_int_equal(recipient->policy_waits, 1);
    assert_true(recipient->due_utc_ms - now_ms <= MINUTE_MS + SECOND_MS);
    queue__recipient_record__free_unpacked(recipient, NULL);
}

static void what_cannot_be_signed_now_is_no_attempt(void **state)
{
    (void)state;
    Queue__RecipientRecord *recipient;
    uint64_t id = a_message();
    int64_t now_ms = clock_utc_ms();
    int64_t since_ms;
    settle_as(id, IPC__RESULT_KIND__UNSIGNED, "4.3.5");
    assert_true(store_rig_recipient(&rig, id, 0, &recipient));
    since_ms = recipient->unsigned_since_utc_ms;
    assert_true(since_ms >= now_ms);
    assert_int_equal(recipient->attempts, 0);
    assert_int_equal(recipient->signing_waits, 1);
    assert_true(recipient->due_utc_ms - now_ms <= MINUTE_MS + SECOND_MS);
    queue__recipient_record__free_unpacked(recipient, NULL);
    settle_as(id, IPC__RESULT_KIND__UNSIGNED, "4.3.5"); /* since the first time */
    assert_true(store_rig_recipient(&rig, id, 0, &recipient));
    assert_int_equal(recipient->unsigned_since_utc_ms, since_ms);
    assert_int_equal(recipient->signing_waits, 2);
    queue__recipient_record__free_unpacked(recipient, NULL);
    settle_as(id, IPC__RESULT_KIND__DEFERRED, "4.4.1"); /* it was signed: what comes is new */
    assert_true(store_rig_recipient(&rig, id, 0, &recipient));
    assert_int_equal(recipient->unsigned_since_utc_ms, 0);
    assert_int_equal(recipient->attempts, 1);
    queue__recipient_record__free_unpacked(recipient, NULL);
}

static void a_returned_job_is_due_as_before(void **state)
{
    (void)state;
    Queue__RecipientRecord *recipient;
    uint64_t id = a_message();
    settle_as(id, IPC__RESULT_KIND__RETURNED, "");
    assert_true(store_rig_recipient(&rig, id, 0, &recipient));
    assert_int_equal(recipient->attempts, 0);
    assert_int_equal(recipient->due_class, DUE_FIRST);
    queue__recipient_record__free_unpacked(recipient, NULL);
}

static bool holds(struct span text, const char *words)
{
    return memmem(text.data, text.len, words, strlen(words)) != NULL;
}

static void a_failed_recipient_is_told_to_the_sender_at_once(void **state)
{
    (void)state;
    uint64_t id = a_message();
    struct settle settle = store_rig_settle(&rig, id, 0, IPC__RESULT_KIND__FAILED, "5.1.1", false);
    assert_true(settle.notices.notification > id);
    assert_int_equal(store_rig_count(&rig, TABLE_MESSAGE), 1); /* the notification */
    Queue__MessageRecord *message = store_rig_message(&rig, settle.notices.notification);
    assert_non_null(message);
    assert_true(message->notification);
    assert_int_equal(message->envelope->reverse_path->text.len, 0);
    struct span content = store_rig_content(&rig, settle.notices.notification);
    assert_true(holds(content, "Final-Recipient: rfc822; bob@example.net"));
    assert_true(holds(content, "Subject: hello"));
    queue__message_record__free_unpacked(message, NULL);
    free((void *)(uintptr_t)content.data);
    settle_clear(&settle);
}

static void a_notification_needs_no_id_that_was_reserved_before(void **state)
{
    (void)state;
    uint64_t id = a_message();
    while (store_new_id(rig.store) != 0)
        ; /* a burst of mail before the next block of ids was written */
    struct settle settle = store_rig_settle(&rig, id, 0, IPC__RESULT_KIND__FAILED, "5.1.1", false);
    assert_int_equal(settle.operation.outcome, OPERATION_COMMITTED);
    assert_true(settle.notices.notification > id);
    store_rig_reopen(&rig);
    assert_true(store_new_id(rig.store) > settle.notices.notification);
    settle_clear(&settle);
}

static void a_failed_notification_is_told_to_nobody(void **state)
{
    (void)state;
    uint64_t id = a_message();
    struct settle first = store_rig_settle(&rig, id, 0, IPC__RESULT_KIND__FAILED, "5.1.1", false);
    struct settle second = store_rig_settle(&rig, first.notices.notification, 0,
                                            IPC__RESULT_KIND__FAILED, "5.1.1", false);
    assert_int_equal(second.notices.notification, 0);
    assert_int_equal(second.notices.untold, UNTOLD_NO_SENDER);
    assert_nothing_waits();
    settle_clear(&first);
    settle_clear(&second);
}

static void a_message_expires_only_after_its_last_attempt(void **state)
{
    (void)state;
    uint64_t id = a_message();
    settle_as(id, IPC__RESULT_KIND__DEFERRED, "4.2.1");
    assert_int_equal(store_usage(rig.store).messages, 1);
    struct settle settle = store_rig_settle(&rig, id, 0, IPC__RESULT_KIND__DEFERRED, "4.2.1", true);
    assert_int_equal(settle.count, 1);
    assert_int_equal(settle.settled[0].as, SETTLED_EXPIRED);
    assert_true(settle.notices.notification > 0);
    settle_clear(&settle);
}

/* ---- hops -------------------------------------------------------------------------------------
 */

static Queue__HopRecord hop_record(const char *name)
{
    struct record_key key = key_of_hop(span_of(name));
    struct kv_txn *txn;
    struct span value;
    Queue__HopRecord copy = QUEUE__HOP_RECORD__INIT;
    assert_null(kv_begin_read(store_kv(rig.store), &txn));
    assert_null(kv_get(txn, TABLE_HOP, key_span(&key), &value));
    Queue__HopRecord *record = value.data ? record_read(TABLE_HOP, key_span(&key), value,
                                                        &queue__hop_record__descriptor, NULL)
                                          : NULL;
    if (record) {
        copy = *record;
        queue__hop_record__free_unpacked(record, NULL);
    }
    kv_abort(&txn);
    return copy;
}

/* No candidate of its next hop could be used, for that reason. */
static void hop_fails(uint64_t id, const char *status)
{
    struct settle settle = store_rig_settle(&rig, id, 0, IPC__RESULT_KIND__RETURNED, status, false);
    settle.outcome->results[0]->kind = IPC__RESULT_KIND__DEFERRED;
    settle.outcome->hop_failed = true;
    settle.outcome->lease = 999999;
    store_rig_commit(&rig, &settle.operation);
    settle_clear(&settle);
}

static void a_hop_that_failed_rests(void **state)
{
    (void)state;
    uint64_t id = a_message();
    a_message();
    hop_fails(id, "4.4.1");
    Queue__HopRecord hop = hop_record("example.net");
    assert_int_equal(hop.failures, 1);
    assert_true(hop.suspended_until_utc_ms > clock_utc_ms() + 4 * MINUTE_MS);
    assert_int_equal(hop.wake_utc_ms, hop.suspended_until_utc_ms);
    assert_int_equal(store_rig_count(&rig, TABLE_WAKE), 1);
}

static void new_mail_waits_no_minute_behind_dns_that_was_silent(void **state)
{
    (void)state;
    hop_fails(a_message(), "4.4.3");
    assert_true(hop_record("example.net").suspended_until_utc_ms > clock_utc_ms() + 4 * MINUTE_MS);
    a_message();
    store_rig_reopen(&rig);
    a_message(); /* makes it no longer */
    Queue__HopRecord hop = hop_record("example.net");
    assert_true(hop.suspended_until_utc_ms >
                clock_utc_ms() + SCHEDULE_DNS_REST_MS - 10 * SECOND_MS);
    assert_true(hop.suspended_until_utc_ms <= clock_utc_ms() + SCHEDULE_DNS_REST_MS);
    assert_int_equal(hop.wake_utc_ms, hop.suspended_until_utc_ms);
    assert_int_equal(hop.failures, 1);
}

static void new_mail_changes_nothing_about_a_rest_for_another_reason(void **state)
{
    (void)state;
    hop_fails(a_message(), "4.4.1");
    Queue__HopRecord before = hop_record("example.net");
    a_message();
    Queue__HopRecord hop = hop_record("example.net");
    assert_int_equal(hop.suspended_until_utc_ms, before.suspended_until_utc_ms);
    assert_int_equal(hop.dns_silent_utc_ms, 0);
}

static void a_retry_of_all_wakes_resting_hops(void **state)
{
    (void)state;
    hop_fails(a_message(), "4.4.3");
    assert_int_equal(store_rig_change(&rig, CHANGE_RETRY, 0), 1);
    Queue__HopRecord hop = hop_record("example.net");
    assert_int_equal(hop.suspended_until_utc_ms, 0);
    assert_int_equal(hop.dns_silent_utc_ms, 0);
    assert_true(hop.wake_utc_ms <= clock_utc_ms() + SECOND_MS);
}

static void due_times_far_ahead_are_pulled_in(void **state)
{
    (void)state;
    Queue__RecipientRecord *recipient;
    uint64_t id = a_message();
    struct settings slow = rig.settings;
    slow.retry_first_s = slow.retry_max_s =
        30 * (DAY_MS / SECOND_MS); /* as if the clock had been ahead */
    store_set_schedule(rig.store, &slow);
    settle_as(id, IPC__RESULT_KIND__DEFERRED, "4.2.1");
    store_set_schedule(rig.store, &rig.settings);
    struct sweep sweep = { .more = true };
    sweep_prepare(&sweep);
    store_rig_commit(&rig, &sweep.operation);
    assert_true(store_rig_recipient(&rig, id, 0, &recipient));
    assert_true(recipient->due_utc_ms <= clock_utc_ms() + SECOND_MS);
    queue__recipient_record__free_unpacked(recipient, NULL);
}

static void a_message_moves_when_its_route_changes(void **state)
{
    (void)state;
    uint64_t id = a_message();
    strcpy(rig.settings.relayhost, "mx.example");
    store_set_schedule(rig.store, &rig.settings);
    struct move *move = memory_new(sizeof(*move) + sizeof(move->places[0]));
    move->count = 1;
    move->places[0] = (struct row_place){ id, 0 };
    move_prepare(move);
    store_rig_commit(&rig, &move->operation);
    assert_int_equal(hop_record("example.net").waiting, 0);
    assert_int_equal(hop_record("relayhost").waiting, 1);
    assert_int_equal(store_rig_count(&rig, TABLE_WAKE), 1);
    free(move);
}

/* ---- deaths -----------------------------------------------------------------------------------
 */

static void after_two_deaths_suspect_after_three_held(void **state)
{
    (void)state;
    Queue__RecipientRecord *recipient;
    uint64_t id = a_message();
    for (unsigned nth = 1; nth <= 3; nth++) {
        struct deaths *deaths = deaths_new(&id, 1);
        store_rig_commit(&rig, &deaths->operation);
        assert_true(store_rig_recipient(&rig, id, 0, &recipient));
        assert_int_equal(recipient->due_class, nth == 1 ? DUE_FIRST : DUE_SUSPECT);
        assert_int_equal(recipient->held, nth == 3);
        assert_int_equal(deaths->held_count, nth == 3 ? 1 : 0);
        queue__recipient_record__free_unpacked(recipient, NULL);
        deaths_free(&deaths);
    }
    assert_int_equal(store_rig_count(&rig, TABLE_HELD), 1);
    assert_int_equal(store_rig_count(&rig, TABLE_DUE), 0);
    assert_int_equal(store_usage(rig.store).messages, 1); /* never bounced */
}

static void a_held_message_is_released(void **state)
{
    (void)state;
    uint64_t id = a_message();
    for (int i = 0; i < 3; i++) {
        struct deaths *deaths = deaths_new(&id, 1);
        store_rig_commit(&rig, &deaths->operation);
        deaths_free(&deaths);
    }
    assert_int_equal(store_rig_change(&rig, CHANGE_RETRY, id), 0); /* which says so */
    assert_int_equal(store_rig_change(&rig, CHANGE_RELEASE, id), 1);
    assert_int_equal(store_rig_count(&rig, TABLE_HELD), 0);
    assert_int_equal(store_rig_count(&rig, TABLE_DUE), 1);
    settle_as(id, IPC__RESULT_KIND__DELIVERED, "2.0.0");
    assert_nothing_waits();
}

/* ---- limits -----------------------------------------------------------------------------------
 */

static bool is_known(uint64_t id)
{
    struct leases *leases = leases_new();
    struct json *shown = NULL;

    assert_null(store_show(rig.store, leases, id, &shown));
    bool is_known = shown;
    json_free(&shown);
    leases_free(&leases);
    return is_known;
}

static void the_history_gives_way_oldest_first(void **state)
{
    (void)state;
    uint64_t last = 0;
    unsigned count;
    for (int i = 0; i < 10; i++) {
        last = a_message();
        settle_as(last, IPC__RESULT_KIND__DELIVERED, "2.0.0");
    }
    struct store_txn txn;
    assert_null(store_begin(rig.store, &txn));
    assert_null(history_yield(&txn, 9, &count));
    assert_null(store_commit(&txn));
    assert_int_equal(count, 9);
    assert_true(is_known(last));
    assert_true(store_usage(rig.store).history_bytes > 0);
    assert_null(store_begin(rig.store, &txn));
    assert_null(history_yield(&txn, 9, &count));
    assert_null(store_commit(&txn));
    assert_int_equal(count, 1);
    assert_int_equal(store_usage(rig.store).history_bytes, 0);
    assert_int_equal(store_rig_count(&rig, TABLE_HISTORY), 0);
}

static void history_keeps_to_its_quota(void **state)
{
    (void)state;
    struct store_limits limits = store_limits_of(&rig.settings);
    limits.history_bytes_max = 4096;
    store_set_limits(rig.store, limits);
    uint64_t last = 0;
    for (int i = 0; i < 100; i++) {
        last = a_message();
        settle_as(last, IPC__RESULT_KIND__DELIVERED, "2.0.0");
    }
    uint64_t kept = store_rig_count(&rig, TABLE_HISTORY);
    assert_true(kept > 5 && kept < 50);
    assert_true(is_known(last)); /* the newest */
}

static void no_done(struct operation *operation, enum operation_outcome outcome)
{
    (void)operation;
    (void)outcome;
}

static void one_large_message_does_not_refuse_small_ones(void **state)
{
    (void)state;
    enum { SMALL = 50, LARGE_CHUNKS = 8192 };
    struct accept accepts[SMALL + 1];
    struct envelope envelope;
    struct address address;
    struct list batch;
    store_rig_close(&rig);
    rig.settings.queue_bytes_max = rig.settings.history_bytes_max = 1024 * 1024;
    strcpy(rig.folder, "/tmp/waxseal-store.XXXXXX");
    assert_non_null(mkdtemp(rig.folder));
    store_rig_reopen(&rig);
    envelope_init(&envelope);
    assert_int_equal(address_parse(SPAN("bob@example.net"), &address), ADDRESS_FINE);
    envelope_add(&envelope, &address);
    char *large = memory_new((size_t)LARGE_CHUNKS * CHUNK_BYTES);
    list_init(&batch);
    for (int i = 0; i <= SMALL; i++) {
        struct span content = mail;
        if (i == SMALL / 2)
            content = (struct span){ large, (size_t)LARGE_CHUNKS * CHUNK_BYTES }; /* 128 MiB */
        accepts[i] = a_part(store_new_id(rig.store), 0, content, &envelope);
        accepts[i].operation.done = NULL;
    }
    for (int i = 0; i <= SMALL; i++)
        list_append(&batch, &accepts[i].operation.others);
    for (int i = 0; i <= SMALL; i++)
        accepts[i].operation.done = no_done;
    assert_int_equal(commit_now(rig.store, &batch), KV_FINE);
    for (int i = 0; i <= SMALL; i++)
        assert_int_equal(accepts[i].operation.outcome,
                         i == SMALL / 2 ? OPERATION_FULL : OPERATION_COMMITTED);
    assert_int_equal(store_usage(rig.store).messages, SMALL);
    free(large);
    envelope_clear(&envelope);
}

/* ---- versions and damage ----------------------------------------------------------------------
 */

static void a_newer_database_is_refused(void **state)
{
    (void)state;
    char room[RECORD_NUMBER_SIZE];
    struct record_key key = key_of_meta("version");
    struct kv_txn *txn;
    struct store *store = NULL;
    int exit_status = 0;
    record_write_number(QUEUE_VERSION + 1, room);
    assert_null(kv_begin_write(store_kv(rig.store), &txn));
    assert_null(kv_put(txn, TABLE_META, key_span(&key), (struct span){ room, sizeof(room) }));
    assert_null(kv_commit(&txn));
    store_close(&rig.store);
    struct error *err =
        store_open(rig.folder, store_limits_of(&rig.settings), 0, &store, &exit_status);
    assert_non_null(err);
    assert_non_null(strstr(error_text(err), "newer"));
    assert_int_equal(exit_status, ROLE_EXIT_REFUSED);
    error_free(&err);
}

static void a_damaged_record_spoils_no_other_operation(void **state)
{
    (void)state;
    uint64_t damaged = a_message();
    uint64_t healthy = a_message();
    struct record_key key = key_of_id(damaged);
    struct kv_txn *txn;
    assert_null(kv_begin_write(store_kv(rig.store), &txn));
    assert_null(kv_put(txn, TABLE_MESSAGE, key_span(&key), SPAN("nothing like a record")));
    assert_null(kv_commit(&txn));
    struct deaths *first = deaths_new(&damaged, 1);
    struct deaths *second = deaths_new(&healthy, 1);
    struct list batch;
    list_init(&batch);
    first->operation.done = second->operation.done = no_done;
    list_append(&batch, &first->operation.others);
    list_append(&batch, &second->operation.others);
    assert_int_equal(commit_now(rig.store, &batch), KV_FINE);
    assert_int_equal(first->operation.outcome, OPERATION_TROUBLE);
    assert_int_equal(second->operation.outcome, OPERATION_COMMITTED);
    Queue__MessageRecord *message = store_rig_message(&rig, healthy);
    assert_int_equal(message->deaths, 1);
    queue__message_record__free_unpacked(message, NULL);
    deaths_free(&first);
    deaths_free(&second);
}

/* ---- the operator's view ----------------------------------------------------------------------
 */

static void a_list_goes_on_where_a_page_ended(void **state)
{
    (void)state;
    struct filter filter = { .id = 0 };
    struct waiting_walk walk = { .filter = &filter, .most = 5 };
    for (int i = 0; i < 7; i++)
        a_message();
    struct json *first = json_new_array();
    assert_null(store_list(rig.store, &walk, first));
    assert_int_equal(json_count(first), 5);
    assert_true(walk.more);
    struct json *second = json_new_array();
    assert_null(store_list(rig.store, &walk, second));
    assert_int_equal(json_count(second), 2);
    assert_false(walk.more);
    struct json *row = json_item(second, 0);
    assert_true(span_equal(json_text(json_get(row, "sender")), SPAN("ada@sender.test")));
    assert_true(span_equal(json_text(json_get(row, "recipient")), SPAN("bob@example.net")));
    assert_true(span_equal(json_text(json_get(row, "state")), SPAN("queued")));
    json_free(&first);
    json_free(&second);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("an accepted message is there after a restart",
             an_accepted_message_is_there_after_a_restart),
        TEST("what was committed survives a crash", what_was_committed_survives_a_crash),
        TEST("ids never step back, not over restarts either", ids_never_step_back_over_a_restart),
        TEST("a message in parts becomes whole with the last",
             a_message_in_parts_becomes_whole_with_the_last),
        TEST("what never became whole counts, and is swept at the next start",
             what_never_became_whole_is_swept),
        TEST("a delivered message leaves only its history",
             a_delivered_message_leaves_only_its_history),
        TEST("a retry keeps the priority of its message (RFC 6710)", a_retry_keeps_its_priority),
        TEST("a deferred recipient waits for its retry", a_deferred_recipient_waits_for_its_retry),
        TEST("an outcome applied twice counts once", an_outcome_applied_twice_counts_once),
        TEST("an outcome for a message that is gone changes nothing",
             an_outcome_for_a_message_that_is_gone_changes_nothing),
        TEST("an unknown policy is not an attempt", an_unknown_policy_is_not_an_attempt),
        TEST("what cannot be signed now is no attempt, and since when is known until the next",
             what_cannot_be_signed_now_is_no_attempt),
        TEST("a returned job is due as before", a_returned_job_is_due_as_before),
        TEST("a failed recipient is told to the sender in the same transaction",
             a_failed_recipient_is_told_to_the_sender_at_once),
        TEST("a notification needs no id that was reserved before",
             a_notification_needs_no_id_that_was_reserved_before),
        TEST("a failed notification is told to nobody", a_failed_notification_is_told_to_nobody),
        TEST("a message expires only after an attempt past its lifetime",
             a_message_expires_only_after_its_last_attempt),
        TEST("a hop of which no candidate could be used rests", a_hop_that_failed_rests),
        TEST("new mail waits no minute behind DNS that was silent",
             new_mail_waits_no_minute_behind_dns_that_was_silent),
        TEST("new mail changes nothing about a rest for another reason",
             new_mail_changes_nothing_about_a_rest_for_another_reason),
        TEST("a retry of all wakes resting hops", a_retry_of_all_wakes_resting_hops),
        TEST("due times beyond the longest wait are pulled in", due_times_far_ahead_are_pulled_in),
        TEST("a message moves when its route changes", a_message_moves_when_its_route_changes),
        TEST("after two deaths a message is suspect, after three it is held",
             after_two_deaths_suspect_after_three_held),
        TEST("a held message is released, and not tried again by a retry",
             a_held_message_is_released),
        TEST("where there is no room the history gives way, oldest first",
             the_history_gives_way_oldest_first),
        TEST("the history keeps to its quota, oldest dropped first", history_keeps_to_its_quota),
        TEST("one large message that finds no room does not refuse fifty small ones",
             one_large_message_does_not_refuse_small_ones),
        TEST("a newer version's database is refused", a_newer_database_is_refused),
        TEST("a damaged record spoils no other operation of its batch",
             a_damaged_record_spoils_no_other_operation),
        TEST("a list goes on where a page ended", a_list_goes_on_where_a_page_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
