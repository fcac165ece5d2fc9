/* What stands in the ledger, read and swept. */
#include "tlsrpt/ledger_private.h"

#include "lib/base/memory.h"
#include "lib/ipc/channel.h"

#include <stdlib.h>
#include <string.h>

/* --- walking */

/* The TXT record that was seen, or nothing; freed by the caller. */
static struct error *get_wish(struct kv_txn *txn, struct span key, Tlsrpt__WishRecord **out)
{
    ProtobufCMessage *message = NULL;
    struct error *err =
        ledger_get(txn, DATABASE_WISH, key, &tlsrpt__wish_record__descriptor, &message);

    *out = (Tlsrpt__WishRecord *)message;
    return err;
}

static struct tally_sum sum_of(const struct subject *subject, const Tlsrpt__SubjectRecord *record,
                               const Tlsrpt__WishRecord *wish)
{
    struct tally_sum sum = { .subject = *subject,
                             .details = record->details,
                             .folded = record->folded,
                             .wish = (enum tally_wish)record->wish };

    for (size_t i = 0; i < record->n_totals; i++) {
        sum.succeeded += record->totals[i]->succeeded;
        sum.failed += record->totals[i]->failed;
    }
    if (wish)
        sum.record = span_of_bytes(wish->record);
    if (sum.wish > TALLY_WISH_SEEN || (sum.wish == TALLY_WISH_SEEN && sum.record.len == 0))
        sum.wish = TALLY_WISH_UNKNOWN;
    return sum;
}

/* False in *out_more: the visitor wants no more. */
static struct error *visit_row(struct kv_txn *txn, struct span key, const struct subject *subject,
                               struct span value, tally_walk_fn *visit, void *ctx, bool *out_more)
{
    Tlsrpt__SubjectRecord *record =
        (Tlsrpt__SubjectRecord *)database_unpack(key, value, &tlsrpt__subject_record__descriptor);
    Tlsrpt__WishRecord *wish = NULL;
    struct error *err = NULL;

    if (!record || record->n_totals == 0)
        goto out;
    if (record->wish == TALLY_WISH_SEEN)
        err = get_wish(txn, key, &wish);
    if (!err) {
        struct tally_sum sum = sum_of(subject, record, wish);
        *out_more = visit(ctx, &sum);
    }
out:
    if (record)
        tlsrpt__subject_record__free_unpacked(record, NULL);
    if (wish)
        tlsrpt__wish_record__free_unpacked(wish, NULL);
    return err;
}

struct error *ledger_walk(struct kv_txn *txn, const struct subject *from, uint32_t before,
                          tally_walk_fn *visit, void *ctx)
{
    struct subject_key first = subject_key(from);
    struct span key = { NULL, 0 }, value, rest;
    struct kv_cursor *cursor = NULL;
    struct subject subject;
    bool more = true;
    struct error *err;

    err = kv_cursor_open(txn, DATABASE_SUBJECT, &cursor);
    if (!err)
        err = kv_cursor_seek(cursor, subject_key_span(&first), &key, &value);
    while (!err && more && key.data && subject_parse(key, &subject, &rest) &&
           subject.day < before) {
        err = visit_row(txn, key, &subject, value, visit, ctx, &more);
        if (!err && more)
            err = kv_cursor_next(cursor, &key, &value);
    }
    kv_cursor_close(&cursor);
    return err;
}

/* --- one subject's policies and failures */

struct reading {
    struct kv_txn *txn;
    struct subject_key key;
    const struct tally_reader *reader;
    void *ctx;
};

/* A policy's failures on their way to the visitor: those with most sessions first, if they are few.
 */
enum { SORTED_MAX = 1000 };
struct pile {
    const struct reading *reading;
    Tlsrpt__FailureCount *counts[SORTED_MAX];
    size_t count;
    bool is_spilt; /* they are too many to be sorted */
};

static void give(const struct reading *r, Tlsrpt__FailureCount *count)
{
    r->reader->failure(r->ctx, count->failure, count->sessions);
    tlsrpt__failure_count__free_unpacked(count, NULL);
}

static void give_all(struct pile *pile)
{
    for (size_t i = 0; i < pile->count; i++)
        give(pile->reading, pile->counts[i]);
    pile->count = 0;
}

static int by_sessions(const void *a, const void *b)
{
    const Tlsrpt__FailureCount *one = *(Tlsrpt__FailureCount *const *)a;
    const Tlsrpt__FailureCount *other = *(Tlsrpt__FailureCount *const *)b;

    if (one->sessions != other->sessions)
        return one->sessions > other->sessions ? -1 : 1;
    return (int)one->failure->result - (int)other->failure->result;
}

static void pile_add(struct pile *pile, Tlsrpt__FailureCount *count)
{
    if (pile->count == SORTED_MAX) {
        give_all(pile);
        pile->is_spilt = true;
    }
    if (pile->is_spilt)
        give(pile->reading, count);
    else
        pile->counts[pile->count++] = count;
}

static void read_failure(struct pile *pile, struct span key, struct span value)
{
    Tlsrpt__FailureCount *count =
        (Tlsrpt__FailureCount *)database_unpack(key, value, &tlsrpt__failure_count__descriptor);

    if (count && counts_failure_is_valid(count))
        pile_add(pile, count);
    else if (count)
        tlsrpt__failure_count__free_unpacked(count, NULL);
}

/* All details whose keys begin with that of the policy. */
static struct error *read_all_failures(struct pile *pile, struct span prefix)
{
    struct span key = { NULL, 0 }, value;
    struct kv_cursor *cursor = NULL;
    struct error *err;

    err = kv_cursor_open(pile->reading->txn, DATABASE_DETAIL, &cursor);
    if (!err)
        err = kv_cursor_seek(cursor, prefix, &key, &value);
    while (!err && key.data && span_starts_with(key, prefix)) {
        read_failure(pile, key, value);
        err = kv_cursor_next(cursor, &key, &value);
    }
    kv_cursor_close(&cursor);
    return err;
}

static struct error *read_failures(const struct reading *r, unsigned number)
{
    struct ledger_key policy = ledger_key(&r->key, number, NULL);
    struct pile pile = { .reading = r };
    struct error *err = read_all_failures(&pile, (struct span){ policy.bytes, policy.len });

    qsort(pile.counts, pile.count, sizeof(void *), by_sessions);
    give_all(&pile);
    return err;
}

/* One whose text is damaged is as good as none: its sessions have nobody to be reported to. */
static struct error *read_policy(const struct reading *r, unsigned number,
                                 const Tlsrpt__PolicyTotal *total)
{
    struct ledger_key key = ledger_key(&r->key, number, NULL);
    ProtobufCMessage *message = NULL;
    Tlsrpt__PolicyCount *policy;
    struct error *err = ledger_get(r->txn, DATABASE_POLICY, (struct span){ key.bytes, key.len },
                                   &tlsrpt__policy_count__descriptor, &message);

    if (!message)
        return err;
    policy = (Tlsrpt__PolicyCount *)message;
    if (counts_policy_is_valid(policy)) {
        policy->succeeded = total->succeeded;
        policy->failed = total->failed;
        r->reader->policy(r->ctx, policy);
        err = read_failures(r, number);
    }
    protobuf_c_message_free_unpacked(message, NULL);
    return err;
}

struct error *ledger_read(struct kv_txn *txn, const struct subject *subject,
                          const struct tally_reader *reader, void *ctx)
{
    struct reading r = { txn, subject_key(subject), reader, ctx };
    Tlsrpt__SubjectRecord *record;
    ProtobufCMessage *message = NULL;
    struct error *err = ledger_get(txn, DATABASE_SUBJECT, subject_key_span(&r.key),
                                   &tlsrpt__subject_record__descriptor, &message);

    if (!message)
        return err;
    record = (Tlsrpt__SubjectRecord *)message;
    for (unsigned i = 0; !err && i < record->n_totals; i++)
        err = read_policy(&r, i, record->totals[i]);
    protobuf_c_message_free_unpacked(message, NULL);
    return err;
}

/* --- sweeping */

struct old_key {
    char bytes[KV_KEY_MAX];
    size_t len;
};

/* Copies the first keys before `end`; the day of the meta table stands behind a word. */
static struct error *find_old(struct kv_txn *txn, kv_table table, struct span from, struct span end,
                              struct old_key keys[LEDGER_SWEEP], unsigned *out_count)
{
    struct span key = { NULL, 0 }, value;
    struct kv_cursor *cursor = NULL;
    struct error *err;

    *out_count = 0;
    err = kv_cursor_open(txn, table, &cursor);
    if (!err)
        err = kv_cursor_seek(cursor, from, &key, &value);
    while (!err && key.data && *out_count < LEDGER_SWEEP && key.len >= end.len &&
           key.len <= KV_KEY_MAX && memcmp(key.data, end.data, end.len) < 0) {
        struct old_key *copy = &keys[(*out_count)++];
        memcpy(copy->bytes, key.data, key.len);
        copy->len = key.len;
        err = kv_cursor_next(cursor, &key, &value);
    }
    kv_cursor_close(&cursor);
    return err;
}

static struct error *sweep_table(struct kv_txn *txn, kv_table table, struct span from,
                                 struct span end, bool *out_all)
{
    struct old_key *keys = memory_new_array(LEDGER_SWEEP, sizeof(*keys));
    unsigned count;
    struct error *err = find_old(txn, table, from, end, keys, &count);

    for (unsigned i = 0; !err && i < count; i++)
        err = kv_remove(txn, table, (struct span){ keys[i].bytes, keys[i].len });
    free(keys);
    if (count == LEDGER_SWEEP)
        *out_all = false;
    return err;
}

struct error *ledger_sweep(struct kv_txn *txn, uint32_t day, bool *out_all)
{
    static const kv_table tables[] = { DATABASE_DETAIL, DATABASE_POLICY, DATABASE_WISH,
                                       DATABASE_SUBJECT };
    struct subject_key end = subject_key_of_day(day);
    char used[LEDGER_USED_SIZE];
    struct error *err = NULL;

    *out_all = true;
    for (size_t i = 0; !err && i < sizeof(tables) / sizeof(tables[0]); i++)
        err = sweep_table(txn, tables[i], SPAN(""), subject_key_span(&end), out_all);
    if (!err)
        err = sweep_table(txn, DATABASE_META, SPAN("used"), ledger_used_key(day, used), out_all);
    return err;
}
