#include "tests/support/test.h"

#include "queue/records.h"

#include <string.h>

#include "queue/records.pb-c.h"

static struct due a_due(const char *hop, enum due_class due_class, unsigned bucket, int64_t utc_ms)
{
    return (struct due){ .hop = span_of(hop),
                         .due_class = due_class,
                         .bucket = bucket,
                         .utc_ms = utc_ms,
                         .id = 7,
                         .number = 3 };
}

static int compare_keys(const struct record_key *a, const struct record_key *b)
{
    size_t len = a->len < b->len ? a->len : b->len;
    int order = memcmp(a->bytes, b->bytes, len);

    return order ? order : (a->len > b->len) - (a->len < b->len);
}

static void assert_before(struct due first, struct due second)
{
    struct record_key a = key_of_due(&first);
    struct record_key b = key_of_due(&second);
    assert_true(compare_keys(&a, &b) < 0);
}

static void due_keys_round_trip(void **state)
{
    (void)state;
    struct due due = a_due("example.net", DUE_RETRY, 1023, INT64_C(1769767200000));
    struct record_key key = key_of_due(&due);
    struct due back;
    assert_true(key_read_due(key_span(&key), &back));
    assert_true(span_equal(back.hop, SPAN("example.net")));
    assert_int_equal(back.due_class, DUE_RETRY);
    assert_int_equal(back.bucket, 1023);
    assert_int_equal(back.utc_ms, INT64_C(1769767200000));
    assert_int_equal(back.id, 7);
    assert_int_equal(back.number, 3);
}

static void due_keys_sort_by_hop_class_bucket_time(void **state)
{
    (void)state;
    assert_before(a_due("a.test", DUE_SUSPECT, 9, 900), a_due("b.test", DUE_URGENT, 0, 0));
    assert_before(a_due("a.test", DUE_FIRST, 9, 900), a_due("a.test", DUE_RETRY, 0, 0));
    assert_before(a_due("a.test", DUE_FIRST, 255, 900), a_due("a.test", DUE_FIRST, 256, 0));
    assert_before(a_due("a.test", DUE_FIRST, 1, 255), a_due("a.test", DUE_FIRST, 1, 256));
}

static void the_class_of_mail_is_by_its_priority_its_header_and_its_tries(void **state)
{
    Ipc__Envelope envelope = IPC__ENVELOPE__INIT;

    (void)state;
    assert_int_equal(due_class_of(&envelope, false), DUE_FIRST);
    assert_int_equal(due_class_of(&envelope, true), DUE_RETRY);
    envelope.tls_report = true;
    assert_int_equal(due_class_of(&envelope, true), DUE_LENIENT);
    envelope.tls_report = false;
    envelope.tls_required_no = true;
    assert_int_equal(due_class_of(&envelope, false), DUE_LENIENT);
    assert_int_equal(due_class_of(&envelope, true), DUE_LENIENT);
    envelope.requiretls = true;
    assert_int_equal(due_class_of(&envelope, false), DUE_FIRST);
    envelope.priority = 1;
    assert_int_equal(due_class_of(&envelope, true), DUE_URGENT);
    envelope.priority = -1;
    assert_int_equal(due_class_of(&envelope, false), DUE_LOW);
}

static void a_hop_that_begins_like_another_stays_apart(void **state)
{
    (void)state;
    assert_before(a_due("example", DUE_SUSPECT, 1023, INT64_MAX), a_due("example.net", 0, 0, 0));
}

static void wake_keys_sort_by_time(void **state)
{
    (void)state;
    struct record_key early = key_of_wake(255, SPAN("zzz.test"));
    struct record_key late = key_of_wake(256, SPAN("aaa.test"));
    int64_t utc_ms;
    struct span hop;
    assert_true(compare_keys(&early, &late) < 0);
    assert_true(key_read_wake(key_span(&late), &utc_ms, &hop));
    assert_int_equal(utc_ms, 256);
    assert_true(span_equal(hop, SPAN("aaa.test")));
}

static void keys_of_other_lengths_are_refused(void **state)
{
    (void)state;
    struct record_key key = key_of_part(1, 2);
    struct due due;
    uint64_t id;
    assert_false(key_read_id(key_span(&key), &id));
    assert_false(key_read_due(key_span(&key), &due));
    key.len = 11;
    uint32_t part;
    assert_false(key_read_part(key_span(&key), &id, &part));
}

static void write_usage(struct record_key *key, char *room, size_t *out_len)
{
    Queue__UsageRecord record = QUEUE__USAGE_RECORD__INIT;
    record.bytes = 1234567;
    record.messages = 89;
    *out_len = record_size(&record.base);
    record_write(TABLE_META, key_span(key), &record.base, room);
}

static void a_record_round_trips(void **state)
{
    (void)state;
    struct record_key key = key_of_meta("usage");
    char room[256];
    size_t len;
    write_usage(&key, room, &len);
    Queue__UsageRecord *back = record_read(TABLE_META, key_span(&key), (struct span){ room, len },
                                           &queue__usage_record__descriptor, NULL);
    assert_non_null(back);
    assert_int_equal(back->bytes, 1234567);
    queue__usage_record__free_unpacked(back, NULL);
}

static void every_flipped_bit_of_a_record_is_found(void **state)
{
    (void)state;
    struct record_key key = key_of_meta("usage");
    char room[256];
    size_t len;
    write_usage(&key, room, &len);
    for (size_t bit = 0; bit < len * 8; bit++) {
        room[bit / 8] = (char)(room[bit / 8] ^ 1 << bit % 8);
        assert_null(record_read(TABLE_META, key_span(&key), (struct span){ room, len },
                                &queue__usage_record__descriptor, NULL));
        room[bit / 8] = (char)(room[bit / 8] ^ 1 << bit % 8);
    }
}

static void a_record_under_another_key_or_table_is_damaged(void **state)
{
    (void)state;
    struct record_key key = key_of_meta("usage");
    struct record_key other = key_of_meta("usagf");
    char room[256];
    size_t len;
    write_usage(&key, room, &len);
    assert_null(record_read(TABLE_META, key_span(&other), (struct span){ room, len },
                            &queue__usage_record__descriptor, NULL));
    assert_null(record_read(TABLE_HOP, key_span(&key), (struct span){ room, len },
                            &queue__usage_record__descriptor, NULL));
}

static void a_whole_chunk_fills_four_pages(void **state)
{
    (void)state;
    assert_int_equal(CHUNK_BYTES + RECORD_SUM_SIZE, 4 * 4096 - 16);
    assert_int_equal(chunk_cost(CHUNK_BYTES), 4 * 4096);
    assert_int_equal(chunk_cost(CHUNK_BYTES + 1), 5 * 4096);
}

static void a_chunk_of_another_message_is_damaged(void **state)
{
    (void)state;
    struct record_key key = key_of_part(1, 0);
    struct record_key other = key_of_part(2, 0);
    char room[16];
    struct span bytes;
    chunk_write(key_span(&key), SPAN("content"), room);
    struct span value = { room, 7 + RECORD_SUM_SIZE };
    assert_true(chunk_read(key_span(&key), value, &bytes));
    assert_true(span_equal(bytes, SPAN("content")));
    assert_false(chunk_read(key_span(&other), value, &bytes));
    assert_false(chunk_read(key_span(&key), span_first(value, 3), &bytes));
}

static void a_user_is_one_sender_whatever_the_reverse_path(void **state)
{
    (void)state;
    assert_int_equal(sender_bucket(SPAN("ada"), SPAN("a.test")),
                     sender_bucket(SPAN("ada"), SPAN("b.test")));
    assert_int_equal(sender_bucket(SPAN(""), SPAN("A.test")),
                     sender_bucket(SPAN(""), SPAN("a.TEST")));
    assert_true(sender_bucket(SPAN(""), SPAN("")) < SENDER_BUCKETS);
}

static void ids_fit_into_leases_whatever_the_clock_says(void **state)
{
    (void)state;
    static const int64_t clocks[] = { 0, INT64_C(1000000000000), INT64_C(1704067200000),
                                      INT64_C(1795300000000), INT64_C(16725225600000) };
    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        assert_true(first_id_at(clocks[i]) > 0);
        assert_true(first_id_at(clocks[i]) < UINT64_C(1) << 43);
    }
    assert_true(first_id_at(clocks[3] + 1000) > first_id_at(clocks[3]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "a row of due reads back as it was written", due_keys_round_trip, NULL, NULL, NULL },
        { "rows of due sort by hop, class, sender and time", due_keys_sort_by_hop_class_bucket_time,
          NULL, NULL, NULL },
        { "the class of mail is by its priority, its header and its tries",
          the_class_of_mail_is_by_its_priority_its_header_and_its_tries, NULL, NULL, NULL },
        { "a hop whose name begins another's keeps its rows together",
          a_hop_that_begins_like_another_stays_apart, NULL, NULL, NULL },
        { "rows of wake sort by time", wake_keys_sort_by_time, NULL, NULL, NULL },
        { "keys of another length are refused", keys_of_other_lengths_are_refused, NULL, NULL,
          NULL },
        { "a record reads back as it was written", a_record_round_trips, NULL, NULL, NULL },
        { "every flipped bit of a record is found", every_flipped_bit_of_a_record_is_found, NULL,
          NULL, NULL },
        { "a record under another key or in another table is damaged",
          a_record_under_another_key_or_table_is_damaged, NULL, NULL, NULL },
        { "a whole chunk of content fills four pages and not a byte more",
          a_whole_chunk_fills_four_pages, NULL, NULL, NULL },
        { "a chunk of another message is damaged", a_chunk_of_another_message_is_damaged, NULL,
          NULL, NULL },
        { "ids fit into a lease's number whatever the clock says",
          ids_fit_into_leases_whatever_the_clock_says, NULL, NULL, NULL },
        { "a user is one sender whatever the reverse-path",
          a_user_is_one_sender_whatever_the_reverse_path, NULL, NULL, NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
