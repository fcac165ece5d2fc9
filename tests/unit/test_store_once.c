#include "tests/support/test.h"

#include "tests/support/one_store.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "queue/records.h"
#include "queue/store_once.h"

#define NOW INT64_C(1790000000000)

static uint64_t claim_at(const char *key, uint64_t id, int64_t now_ms)
{
    struct once once = once_of(span_of(key));
    struct store_txn txn;
    uint64_t taken_as = 0;
    assert_null(store_begin(rig.store, &txn));
    txn.now_ms = now_ms;
    assert_null(once_claim(&txn, &once, id, &taken_as));
    assert_null(store_commit(&txn));
    return taken_as;
}

static void the_first_under_a_key_has_it(void **state)
{
    (void)state;
    assert_int_equal(claim_at("a", 7, NOW), 7);
    assert_int_equal(claim_at("a", 8, NOW), 7);
    assert_int_equal(claim_at("b", 9, NOW), 9);
    store_rig_reopen(&rig);
    assert_int_equal(claim_at("a", 10, NOW), 7);
}

static void a_key_is_kept_for_three_days(void **state)
{
    (void)state;
    assert_int_equal(claim_at("a", 7, NOW), 7);
    assert_int_equal(claim_at("a", 8, NOW + 3 * DAY_MS), 7);
    assert_int_equal(claim_at("a", 9, NOW + 3 * DAY_MS + 1), 9);
    assert_int_equal(claim_at("a", 10, NOW + 6 * DAY_MS), 9); /* from then on, anew */
    assert_int_equal(store_rig_count(&rig, TABLE_ONCE), 2);
}

static void a_clock_stepped_back_forgets_nothing(void **state)
{
    (void)state;
    assert_int_equal(claim_at("a", 7, NOW), 7);
    assert_int_equal(claim_at("a", 8, NOW - 30 * DAY_MS), 7);
}

static void keys_that_are_over_go_as_others_come(void **state)
{
    char key[8];
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "old%u", i);
        claim_at(key, i + 1, NOW + i);
    }
    assert_int_equal(store_rig_count(&rig, TABLE_ONCE), 40);
    assert_int_equal(claim_at("c", 100, NOW + 3 * DAY_MS + 15), 100);
    assert_int_equal(claim_at("d", 101, NOW + 3 * DAY_MS + 15), 101);
    assert_int_equal(store_rig_count(&rig, TABLE_ONCE), 2 * (20 - 15 + 2));
    assert_int_equal(claim_at("old15", 102, NOW + 3 * DAY_MS + 15), 16); /* just not over */
}

/* So many rows of keys that are not over. */
static void fill(size_t rows)
{
    struct store_txn txn;
    char key[16];
    assert_null(store_begin(rig.store, &txn));
    for (size_t i = 0; i < rows; i++) {
        struct span name = { key, (size_t)snprintf(key, sizeof(key), "k%08zx", i) };
        assert_null(kv_put(txn.kv, TABLE_ONCE, name, SPAN("")));
    }
    assert_null(store_commit(&txn));
}

static void keys_are_bounded_and_what_is_known_stays_known(void **state)
{
    struct once once = once_of(SPAN("one too many"));
    struct store_txn txn;
    uint64_t taken_as;
    (void)state;
    assert_int_equal(claim_at("a", 7, NOW), 7);
    fill(2 * ((size_t)ONCE_KEYS_MAX - 2));
    assert_int_equal(claim_at("b", 8, NOW), 8);
    assert_int_equal(store_rig_count(&rig, TABLE_ONCE), 2 * ONCE_KEYS_MAX);
    assert_int_equal(claim_at("a", 9, NOW), 7);
    assert_null(store_begin(rig.store, &txn));
    txn.now_ms = NOW;
    struct error *err = once_claim(&txn, &once, 10, &taken_as);
    assert_non_null(err);
    error_free(&err);
    store_abort(&txn);
}

static struct accept an_accept(uint64_t id, const struct envelope *envelope, const char *once)
{
    struct accept accept = {
        .id = id, .content = mail, .last = true, .envelope = envelope, .size = mail.len
    };
    accept.once = once_of(span_of(once));
    accept_prepare(&accept);
    return accept;
}

static void of_a_message_that_is_known_nothing_is_added(void **state)
{
    struct envelope envelope;
    struct address address;
    (void)state;
    envelope_init(&envelope);
    assert_int_equal(address_parse(SPAN("bob@example.net"), &address), ADDRESS_FINE);
    envelope_add(&envelope, &address);
    struct accept first = an_accept(store_new_id(rig.store), &envelope, "a");
    assert_int_equal(store_rig_commit(&rig, &first.operation), OPERATION_COMMITTED);
    assert_int_equal(first.taken_as, first.id);
    struct store_usage before = store_usage(rig.store);
    struct accept second = an_accept(store_new_id(rig.store), &envelope, "a");
    assert_int_equal(store_rig_commit(&rig, &second.operation), OPERATION_COMMITTED);
    assert_int_equal(second.taken_as, first.id);
    assert_int_equal(store_usage(rig.store).bytes, before.bytes);
    assert_int_equal(store_usage(rig.store).messages, 1);
    assert_int_equal(store_rig_count(&rig, TABLE_CONTENT), 1);
    assert_int_equal(store_rig_count(&rig, TABLE_RECIPIENT), 1);
    struct accept without = an_accept(store_new_id(rig.store), &envelope, "");
    assert_int_equal(store_rig_commit(&rig, &without.operation), OPERATION_COMMITTED);
    assert_int_equal(without.taken_as, without.id);
    envelope_clear(&envelope);
}

static void of_one_in_parts_that_is_known_no_part_stays(void **state)
{
    static char content[5 * CHUNK_BYTES];
    struct envelope envelope;
    struct address address;
    (void)state;
    claim_at("a", 7, clock_utc_ms());
    envelope_init(&envelope);
    assert_int_equal(address_parse(SPAN("bob@example.net"), &address), ADDRESS_FINE);
    envelope_add(&envelope, &address);
    struct accept first = { .id = store_new_id(rig.store),
                            .content = { content, 4 * CHUNK_BYTES } };
    accept_prepare(&first);
    assert_int_equal(store_rig_commit(&rig, &first.operation), OPERATION_COMMITTED);
    struct accept last = an_accept(first.id, &envelope, "a");
    last.first_chunk = 4;
    last.size = 4 * CHUNK_BYTES + mail.len;
    assert_int_equal(store_rig_commit(&rig, &last.operation), OPERATION_COMMITTED);
    assert_int_equal(last.taken_as, 7);
    assert_int_equal(store_rig_count(&rig, TABLE_CONTENT), 0);
    assert_int_equal(store_rig_count(&rig, TABLE_RECEIVING), 0);
    assert_int_equal(store_usage(rig.store).bytes, 0);
    envelope_clear(&envelope);
}

static void keys_of_the_table_are_read_as_they_were_written(void **state)
{
    struct once once = once_of(SPAN("a"));
    unsigned char digest[ONCE_DIGEST_SIZE];
    int64_t utc_ms;
    (void)state;
    struct record_key by_time = key_of_once_time(NOW, once.digest);
    struct record_key by_digest = key_of_once(once.digest);
    assert_true(key_read_once_time(key_span(&by_time), &utc_ms, digest));
    assert_int_equal(utc_ms, NOW);
    assert_memory_equal(digest, once.digest, sizeof(digest));
    assert_false(key_read_once_time(key_span(&by_digest), &utc_ms, digest));
    by_time.bytes[0] = 'x';
    assert_false(key_read_once_time(key_span(&by_time), &utc_ms, digest));
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("the first message under a key has it, also after a restart",
             the_first_under_a_key_has_it),
        TEST("a key is kept for three days", a_key_is_kept_for_three_days),
        TEST("a clock stepped back forgets no key", a_clock_stepped_back_forgets_nothing),
        TEST("keys that are over go as others come", keys_that_are_over_go_as_others_come),
        TEST("keys are bounded, and what is known stays known",
             keys_are_bounded_and_what_is_known_stays_known),
        TEST("of a message whose key is known nothing is added to the queue",
             of_a_message_that_is_known_nothing_is_added),
        TEST("of one that came in parts no part stays",
             of_one_in_parts_that_is_known_no_part_stays),
        TEST("the keys of the table are read as they were written",
             keys_of_the_table_are_read_as_they_were_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
