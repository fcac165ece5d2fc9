#include "tests/support/test.h"

#include "tests/support/one_store.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/ipc/channel.h"
#include "queue/ages.h"
#include "queue/store_hops.h"
#include "queue/store_read.h"
#include "queue/store_summary.h"

/* ---- a hop's record, and what its rows say ------------------------------------------------- */

struct recount {
    Queue__HopRecord *hop; /* NULL: there is none */
    struct ages ages;
    uint64_t waiting;           /* recipients that are not held and wait for this hop */
    uint64_t unknown;           /* of these, without an arrival of their own */
    uint64_t in_span[AGES_MAX]; /* those that arrived in it */
};

static void count_recipient(struct recount *r, const char *name, struct span key, struct span value)
{
    Queue__RecipientRecord *recipient =
        record_read(TABLE_RECIPIENT, key, value, &queue__recipient_record__descriptor, NULL);
    assert_non_null(recipient);
    if (!recipient->held && span_equal(span_of_bytes(recipient->next_hop), span_of(name))) {
        int64_t minute = recipient->accepted_utc_ms / MINUTE_MS;
        r->waiting++;
        r->unknown += recipient->accepted_utc_ms == 0;
        for (size_t i = 0; i < r->ages.count; i++)
            r->in_span[i] +=
                minute >= r->ages.from[i] && minute < (int64_t)r->ages.from[i] + r->ages.minutes[i];
    }
    queue__recipient_record__free_unpacked(recipient, NULL);
}

static struct recount recount_of(const char *name)
{
    struct recount r = { .waiting = 0 };
    struct record_key hop = key_of_hop(span_of(name));
    struct kv_txn *txn;
    struct kv_cursor *cursor;
    struct span key;
    struct span value;
    assert_null(kv_begin_read(store_kv(rig.store), &txn));
    assert_null(kv_get(txn, TABLE_HOP, key_span(&hop), &value));
    if (value.data) {
        r.hop = record_read(TABLE_HOP, key_span(&hop), value, &queue__hop_record__descriptor, NULL);
        assert_non_null(r.hop);
        ages_load(&r.ages, r.hop);
    }
    assert_null(kv_cursor_open(txn, TABLE_RECIPIENT, &cursor));
    assert_null(kv_cursor_seek(cursor, SPAN(""), &key, &value));
    while (key.data) {
        count_recipient(&r, name, key, value);
        assert_null(kv_cursor_next(cursor, &key, &value));
    }
    kv_cursor_close(&cursor);
    kv_abort(&txn);
    return r;
}

static void recount_clear(struct recount *r)
{
    if (r->hop)
        queue__hop_record__free_unpacked(r->hop, NULL);
    r->hop = NULL;
}

/* What the record says is what a look at every row says; gives the number of rows. */
static uint64_t assert_counts_are_true(const char *name)
{
    struct recount r = recount_of(name);
    assert_int_equal(r.hop ? r.hop->waiting : 0, r.waiting);
    assert_int_equal(ages_rows(&r.ages), r.waiting - r.unknown);
    for (size_t i = 0; i < r.ages.count; i++)
        assert_int_equal(r.ages.rows[i], r.in_span[i]);
    recount_clear(&r);
    return r.waiting;
}

static uint64_t column_of(const char *name, int64_t later_ms, size_t column)
{
    struct recount r = recount_of(name);
    uint64_t columns[AGES_COLUMNS];
    ages_by_column(&r.ages, clock_utc_ms() + later_ms, columns);
    recount_clear(&r);
    return columns[column];
}

/* ---- operations --------------------------------------------------------------------------- */

static const char *const hop_names[] = { "example.net", "example.org", "sender.test", "relayhost" };
enum { HOPS = sizeof(hop_names) / sizeof(hop_names[0]) };

static uint64_t accept_for(const char *recipient)
{
    uint64_t id =
        store_rig_accept(&rig, "ada@sender.test", recipient, SPAN("Subject: x\r\n\r\nbody\r\n"));
    assert_true(id > 0);
    return id;
}

static uint64_t last_restored;

static struct error *apply_restored(struct operation *operation, struct store_txn *txn)
{
    (void)operation;
    Queue__MessageRecord *message;
    Queue__RecipientRecord *recipient;
    struct error *err = message_get(txn, last_restored, &message);
    if (err || !message)
        return err;
    err = recipient_get(txn, last_restored, 0, &recipient);
    if (err || !recipient)
        return err;
    uint64_t id = store_txn_id(txn);
    message->accepted_utc_ms -= (int64_t)random_below((uint64_t)(6 * DAY_MS));
    message->size = 0;
    Queue__ExportRecord record = QUEUE__EXPORT_RECORD__INIT;
    record.message = message;
    record.recipients = &recipient;
    record.n_recipients = 1;
    err = message_restore(txn, id, &record);
    last_restored = id;
    return err;
}

/* A message of another queue comes in, with an arrival some days back. */
static uint64_t restore_like(uint64_t id)
{
    struct operation operation = { .lane = LANE_ACCEPT, .apply = apply_restored };
    last_restored = id;
    assert_int_equal(store_rig_commit(&rig, &operation), OPERATION_COMMITTED);
    return last_restored;
}

static void settle(uint64_t id, Ipc__ResultKind kind, const char *status)
{
    struct settle settle = store_rig_settle(&rig, id, 0, kind, status, false);
    settle_clear(&settle);
}

static void settle_with_decision(uint64_t id, bool hop_failed, const char *status,
                                 Ipc__Decision *decision)
{
    static uint64_t lease = 1000000;
    Ipc__Outcome outcome = IPC__OUTCOME__INIT;
    Ipc__Result result = IPC__RESULT__INIT;
    Ipc__Result *results[] = { &result };
    uint8_t packed[256];
    struct settle settle = { .notices.settings = &rig.notify };
    result.kind = hop_failed ? IPC__RESULT_KIND__DEFERRED : IPC__RESULT_KIND__DELIVERED;
    result.status = bytes_of_span(span_of(status));
    outcome.lease = ++lease;
    outcome.id = id;
    outcome.hop_failed = hop_failed;
    outcome.decision = decision;
    outcome.results = results;
    outcome.n_results = 1;
    size_t len = ipc__outcome__pack(&outcome, packed);
    settle.outcome = ipc__outcome__unpack(NULL, len, packed);
    settle_prepare(&settle);
    assert_int_equal(store_rig_commit(&rig, &settle.operation), OPERATION_COMMITTED);
    settle_clear(&settle);
}

static void settle_with_hop_failed(uint64_t id, bool hop_failed, const char *status)
{
    settle_with_decision(id, hop_failed, status, NULL);
}

static void pull_in_all(void)
{
    struct sweep sweep = { .more = true };
    sweep_prepare(&sweep);
    do {
        assert_int_equal(store_rig_commit(&rig, &sweep.operation), OPERATION_COMMITTED);
        sweep_advance(&sweep);
    } while (sweep.more);
}

static void change_at_random(void)
{
    static const enum change_kind kinds[] = { CHANGE_HOLD, CHANGE_RELEASE, CHANGE_RETRY };

    if (random_below(2) == 0)
        pull_in_all();
    else
        store_rig_change(&rig, kinds[random_below(3)], 0);
}

static void die_with(uint64_t id)
{
    struct deaths *deaths = deaths_new(&id, 1);
    assert_int_equal(store_rig_commit(&rig, &deaths->operation), OPERATION_COMMITTED);
    deaths_free(&deaths);
}

static void route_to_relayhost(bool relayhost)
{
    strcpy(rig.settings.relayhost, relayhost ? "mx.example" : "");
    store_set_schedule(rig.store, &rig.settings);
}

static void move(uint64_t id)
{
    struct move *move = memory_new(sizeof(*move) + sizeof(move->places[0]));
    move->count = 1;
    move->places[0] = (struct row_place){ id, 0 };
    move_prepare(move);
    assert_int_equal(store_rig_commit(&rig, &move->operation), OPERATION_COMMITTED);
    free(move);
}

static void correct(const char *name)
{
    struct correct correct;
    memset(&correct, 0, sizeof(correct));
    strcpy(correct.hop, name);
    correct_prepare(&correct);
    assert_int_equal(store_rig_commit(&rig, &correct.operation), OPERATION_COMMITTED);
}

/* ---- ages --------------------------------------------------------------------------------- */

static void what_is_accepted_is_counted_by_its_arrival(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        accept_for("bob@example.net");
    accept_for("bob@example.org");
    assert_int_equal(assert_counts_are_true("example.net"), 3);
    assert_int_equal(assert_counts_are_true("example.org"), 1);
    assert_int_equal(column_of("example.net", 0, 0), 3);
    assert_int_equal(column_of("example.net", HOUR_MS, 4), 3); /* under 80 minutes */
    store_rig_reopen(&rig);
    assert_int_equal(assert_counts_are_true("example.net"), 3);
}

static void what_is_delivered_is_counted_no_more(void **state)
{
    (void)state;
    uint64_t id = accept_for("bob@example.net");
    accept_for("bob@example.net");
    settle(id, IPC__RESULT_KIND__DELIVERED, "2.0.0");
    assert_int_equal(assert_counts_are_true("example.net"), 1);
}

static void a_deferred_recipient_keeps_its_age(void **state)
{
    (void)state;
    uint64_t id = restore_like(accept_for("bob@example.net"));
    settle(id, IPC__RESULT_KIND__DEFERRED, "4.2.1");
    assert_int_equal(assert_counts_are_true("example.net"), 2);
    Queue__MessageRecord *message = store_rig_message(&rig, id);
    Queue__RecipientRecord *recipient;
    assert_true(store_rig_recipient(&rig, id, 0, &recipient));
    assert_int_equal(recipient->accepted_utc_ms, message->accepted_utc_ms);
    queue__recipient_record__free_unpacked(recipient, NULL);
    queue__message_record__free_unpacked(message, NULL);
}

static void a_bounce_is_counted_where_it_goes(void **state)
{
    (void)state;
    settle(accept_for("bob@example.net"), IPC__RESULT_KIND__FAILED, "5.1.1");
    assert_int_equal(assert_counts_are_true("example.net"), 0);
    assert_int_equal(assert_counts_are_true("sender.test"), 1);
}

static void a_move_takes_the_age_along(void **state)
{
    (void)state;
    uint64_t id = restore_like(accept_for("bob@example.net"));
    route_to_relayhost(true);
    move(id);
    assert_int_equal(assert_counts_are_true("example.net"), 1);
    assert_int_equal(assert_counts_are_true("relayhost"), 1);
    assert_int_equal(column_of("relayhost", 7 * DAY_MS, AGES_COLUMNS - 1), 1);
}

static void held_mail_waits_for_no_hop(void **state)
{
    (void)state;
    uint64_t id = accept_for("bob@example.net");
    for (int i = 0; i < 3; i++) {
        die_with(id);
        assert_int_equal(assert_counts_are_true("example.net"), i < 2 ? 1 : 0);
    }
    store_rig_change(&rig, CHANGE_RELEASE, 0);
    assert_int_equal(assert_counts_are_true("example.net"), 1);
}

static void a_commit_that_was_given_up_counts_nothing(void **state)
{
    (void)state;
    struct store_txn txn;
    accept_for("bob@example.net");
    assert_null(store_begin(rig.store, &txn));
    const struct due due = { .hop = SPAN("example.net"), .utc_ms = 5, .id = 1 };
    assert_null(hops_add_due(&txn, &due, txn.now_ms));
    store_abort(&txn);
    assert_int_equal(assert_counts_are_true("example.net"), 1);
}

/* Anything that can happen, in any order: after each step the counts are what a recount gives. */
static void counts_are_true_whatever_happens(void **state)
{
    (void)state;
    enum { STEPS = 600, IDS = 60 };
    static const char *const recipients[] = { "bob@example.net", "bob@example.org" };
    static const Ipc__ResultKind kinds[] = { IPC__RESULT_KIND__DELIVERED,
                                             IPC__RESULT_KIND__DEFERRED, IPC__RESULT_KIND__FAILED,
                                             IPC__RESULT_KIND__POLICY_UNKNOWN,
                                             IPC__RESULT_KIND__RETURNED };
    uint64_t ids[IDS];
    for (size_t i = 0; i < IDS; i++)
        ids[i] = accept_for(recipients[i % 2]);
    for (int step = 0; step < STEPS; step++) {
        uint64_t *id = &ids[random_below(IDS)];
        switch (random_below(9)) {
        case 0:
            *id = accept_for(recipients[random_below(2)]);
            break;
        case 1:
        case 2:
            *id = restore_like(*id);
            break;
        case 3:
        case 4:
            settle(*id, kinds[random_below(5)], "4.0.0");
            break;
        case 5:
            die_with(*id);
            break;
        case 6:
            move(*id);
            break;
        case 7:
            correct(hop_names[random_below(HOPS)]);
            break;
        default:
            if (random_below(4) == 0)
                route_to_relayhost(random_below(2) == 0);
            if (random_below(8) == 0)
                change_at_random();
            if (random_below(8) == 0)
                store_rig_reopen(&rig);
        }
        for (size_t i = 0; i < HOPS && step % 5 == 0; i++)
            assert_counts_are_true(hop_names[i]);
    }
}

/* ---- a queue of an older version ---------------------------------------------------------- */

static struct error *apply_older(struct operation *operation, struct store_txn *txn)
{
    (void)operation;
    struct record_key key = key_of_hop(SPAN("example.net"));
    Queue__HopRecord *hop;
    struct row_place *places;
    size_t count;
    struct error *err = store_get(txn, TABLE_HOP, &key, &queue__hop_record__descriptor, &hop);
    hop->n_arrived_from = hop->n_arrived_minutes = hop->n_arrived_rows = 0;
    hop->counted_deferred = false;
    if (!err)
        err = store_put(txn, TABLE_HOP, &key, &hop->base);
    if (!err)
        err = recipient_places(txn, (struct row_place){ 0, 0 }, false, 100, &places, &count);
    for (size_t i = 0; i < count && !err; i++) {
        Queue__RecipientRecord *recipient;
        err = recipient_get(txn, places[i].id, places[i].number, &recipient);
        recipient->accepted_utc_ms = 0;
        if (!err)
            err = recipient_update(txn, places[i].id, places[i].number, recipient);
    }
    return err;
}

/* What this version keeps and earlier ones did not is gone from the records. */
static void make_older(void)
{
    struct operation operation = { .lane = LANE_SETTLEMENT, .apply = apply_older };
    assert_int_equal(store_rig_commit(&rig, &operation), OPERATION_COMMITTED);
    store_rig_reopen(&rig);
}

static int64_t unknown_of(const char *name)
{
    struct json *rows = json_new_array();
    char after[HOP_NAME_MAX + 1] = "";
    int64_t unknown = -1;
    bool more;
    assert_null(store_summary(rig.store, after, 100, rows, &more));
    for (size_t i = 0; i < json_count(rows); i++)
        if (span_equal(json_text(json_get(json_item(rows, i), "next_hop")), span_of(name)))
            unknown = json_number(json_get(json_item(rows, i), "unknown"));
    json_free(&rows);
    return unknown;
}

static void an_older_queue_has_unknown_ages_that_heal(void **state)
{
    (void)state;
    uint64_t ids[4];
    for (size_t i = 0; i < 4; i++)
        ids[i] = accept_for("bob@example.net");
    make_older();
    assert_int_equal(unknown_of("example.net"), 4);
    accept_for("bob@example.net");
    assert_int_equal(unknown_of("example.net"), 4);
    settle(ids[0], IPC__RESULT_KIND__DELIVERED, "2.0.0");
    assert_int_equal(unknown_of("example.net"), 3);
    settle(ids[1], IPC__RESULT_KIND__DEFERRED, "4.2.1");
    assert_int_equal(unknown_of("example.net"), 2);
    assert_counts_are_true("example.net");
    store_rig_change(&rig, CHANGE_RETRY, 0);
    assert_int_equal(unknown_of("example.net"), 0);
    assert_int_equal(assert_counts_are_true("example.net"), 4);
    assert_int_equal(column_of("example.net", 0, 0), 4);
}

/* ---- the summary, and counts of all -------------------------------------------------------- */

static void a_summary_goes_on_where_a_page_ended(void **state)
{
    (void)state;
    struct json *rows = json_new_array();
    char after[HOP_NAME_MAX + 1] = "";
    bool more;
    accept_for("bob@example.org");
    accept_for("bob@example.net");
    accept_for("bob@example.net");
    assert_null(store_summary(rig.store, after, 1, rows, &more));
    assert_true(more);
    assert_string_equal(after, "example.net");
    assert_null(store_summary(rig.store, after, 1, rows, &more));
    assert_false(more);
    assert_int_equal(json_count(rows), 2);
    const struct json *first = json_item(rows, 0);
    assert_true(span_equal(json_text(json_get(first, "next_hop")), SPAN("example.net")));
    assert_int_equal(json_number(json_get(first, "waiting")), 2);
    assert_int_equal(json_number(json_get(first, "5")), 2);
    assert_int_equal(json_number(json_get(first, "1280+")), 0);
    assert_int_equal(json_number(json_get(first, "failures")), 0);
    assert_true(json_kind_of(json_get(first, "rests_until")) == JSON_KIND_NULL);
    assert_true(
        span_equal(json_text(json_get(json_item(rows, 1), "next_hop")), SPAN("example.org")));
    json_free(&rows);
}

static int64_t count_of(const char *name)
{
    struct json *counts = json_new_object();
    assert_null(store_add_counts(rig.store, counts));
    assert_non_null(json_get(counts, name));
    int64_t count = json_number(json_get(counts, name));
    json_free(&counts);
    return count;
}

static void counts_say_how_much_there_is(void **state)
{
    (void)state;
    uint64_t id = accept_for("bob@example.net");
    accept_for("bob@example.org");
    assert_int_equal(count_of("messages"), 2);
    assert_int_equal(count_of("recipients"), 2);
    assert_int_equal(count_of("next_hops"), 2);
    assert_int_equal(count_of("held_messages"), 0);
    assert_true(count_of("bytes") > 0 && count_of("bytes") < count_of("bytes_max"));
    for (int i = 0; i < 3; i++)
        die_with(id);
    assert_int_equal(count_of("held_messages"), 1);
    assert_int_equal(count_of("next_hops"), 1);
}

static void a_hop_that_fails_is_counted_until_it_works(void **state)
{
    (void)state;
    uint64_t first = accept_for("bob@example.net");
    uint64_t second = accept_for("bob@example.net");
    uint64_t third = accept_for("bob@example.org");
    settle_with_hop_failed(first, true, "4.4.1");
    settle_with_hop_failed(second, true, "4.4.1");
    assert_int_equal(count_of("deferred_hops"), 1);
    settle_with_hop_failed(third, true, "4.4.1");
    assert_int_equal(count_of("deferred_hops"), 2);
    store_rig_reopen(&rig);
    assert_int_equal(count_of("deferred_hops"), 2);
    settle_with_hop_failed(first, false, "2.0.0");
    assert_int_equal(count_of("deferred_hops"), 1);
    settle_with_hop_failed(third, false, "2.0.0"); /* its row is gone with its mail */
    assert_int_equal(count_of("deferred_hops"), 0);
}

static void what_went_thanks_to_its_header_revives_no_hop(void **state)
{
    Ipc__Decision by_header = IPC__DECISION__INIT, by_exception = IPC__DECISION__INIT;

    (void)state;
    by_header.relief_needed = by_exception.relief_needed = true;
    by_exception.relief_domain = bytes_of_span(SPAN("example.net"));
    accept_for("bob@example.net");
    settle_with_hop_failed(accept_for("bob@example.net"), true, "4.7.5");
    settle_with_decision(accept_for("bob@example.net"), false, "2.0.0", &by_header);
    assert_int_equal(count_of("deferred_hops"), 1);
    settle_with_decision(accept_for("bob@example.net"), false, "2.0.0", &by_exception);
    assert_int_equal(count_of("deferred_hops"), 0);
}

static void a_retry_of_all_lets_no_hop_count_as_failing(void **state)
{
    (void)state;
    uint64_t id = accept_for("bob@example.net");
    settle_with_hop_failed(id, true, "4.4.1");
    store_rig_change(&rig, CHANGE_RETRY, 0);
    assert_int_equal(count_of("deferred_hops"), 0);
    settle_with_hop_failed(id, true, "4.4.1");
    assert_int_equal(count_of("deferred_hops"), 1);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("what is accepted is counted by its arrival",
             what_is_accepted_is_counted_by_its_arrival),
        TEST("what is delivered is counted no more", what_is_delivered_is_counted_no_more),
        TEST("a deferred recipient keeps its age", a_deferred_recipient_keeps_its_age),
        TEST("a bounce is counted where it goes", a_bounce_is_counted_where_it_goes),
        TEST("a move to another hop takes the age along", a_move_takes_the_age_along),
        TEST("held mail waits for no hop, released mail does", held_mail_waits_for_no_hop),
        TEST("a commit that was given up counts nothing",
             a_commit_that_was_given_up_counts_nothing),
        TEST("counts are what a recount gives, whatever happens", counts_are_true_whatever_happens),
        TEST("a queue of an older version has unknown ages, which heal",
             an_older_queue_has_unknown_ages_that_heal),
        TEST("a summary goes on where a page ended", a_summary_goes_on_where_a_page_ended),
        TEST("counts say how much there is", counts_say_how_much_there_is),
        TEST("a hop that fails is counted until it works or has no mail",
             a_hop_that_fails_is_counted_until_it_works),
        TEST("what went thanks to its header alone revives no hop",
             what_went_thanks_to_its_header_revives_no_hop),
        TEST("a retry of all lets no hop count as failing",
             a_retry_of_all_lets_no_hop_count_as_failing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
