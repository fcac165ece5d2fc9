#include "tlsrpt/outbox.h"

#include "lib/base/log.h"
#include "lib/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { TIME_SIZE = 8 };

struct outbox {
    struct database *database;
    bool is_full;
};

/* Of what is due, and of what was sent: a time in front of the subject's key. */
struct time_key {
    char bytes[TIME_SIZE + SUBJECT_KEY_MAX];
    size_t len;
};

/* --- keys */

static struct span time_key_span(const struct time_key *key)
{
    return (struct span){ key->bytes, key->len };
}

static struct time_key time_key_of(const struct subject *subject, uint64_t time)
{
    struct subject_key of_subject = subject_key(subject);
    struct time_key key = { .len = TIME_SIZE + of_subject.len };

    for (unsigned i = 0; i < TIME_SIZE; i++)
        key.bytes[i] = (char)(time >> (8 * (TIME_SIZE - 1 - i)));
    memcpy(key.bytes + TIME_SIZE, of_subject.bytes, of_subject.len);
    return key;
}

static struct time_key due_key_of(const struct subject *subject, int64_t utc_ms)
{
    return time_key_of(subject, utc_ms > 0 ? (uint64_t)utc_ms : 0);
}

/* The latest stands first. */
static struct time_key sent_key_of(const struct subject *subject, int64_t utc_ms)
{
    return time_key_of(subject, UINT64_MAX - (uint64_t)utc_ms);
}

static int64_t time_of(struct span key)
{
    uint64_t time = 0;

    for (size_t i = 0; i < TIME_SIZE; i++)
        time = time << 8 | (unsigned char)key.data[i];
    return (int64_t)time;
}

static bool read_key(struct span key, struct subject *out)
{
    struct span rest;

    return subject_parse(key, out, &rest) && rest.len == 0;
}

/* --- records */

static ProtobufCBinaryData copy_of(struct span bytes)
{
    ProtobufCBinaryData copy = { bytes.len, NULL };

    if (bytes.len > 0) {
        copy.data = memory_new(bytes.len);
        memcpy(copy.data, bytes.data, bytes.len);
    }
    return copy;
}

Tlsrpt__OutboxRecord *outbox_record_new(struct span report_id, int64_t due_utc_ms)
{
    Tlsrpt__OutboxRecord *record = memory_new(sizeof(*record));

    tlsrpt__outbox_record__init(record);
    record->report_id = copy_of(report_id);
    record->due_utc_ms = due_utc_ms;
    record->destinations = memory_new_array(RUA_MAX, sizeof(Tlsrpt__OutboxDestination *));
    return record;
}

void outbox_record_free(Tlsrpt__OutboxRecord **record)
{
    if (*record)
        tlsrpt__outbox_record__free_unpacked(*record, NULL);
    *record = NULL;
}

void outbox_record_add(Tlsrpt__OutboxRecord *record, struct span uri)
{
    Tlsrpt__OutboxDestination *destination = memory_new(sizeof(*destination));

    ensure(record->n_destinations < RUA_MAX);
    tlsrpt__outbox_destination__init(destination);
    destination->uri = copy_of(uri);
    destination->next_try_utc_ms = record->due_utc_ms;
    record->destinations[record->n_destinations++] = destination;
}

void outbox_set_answer(Tlsrpt__OutboxDestination *destination, struct span answer)
{
    free(destination->answer.data);
    destination->answer = copy_of(span_first(answer, OUTBOX_ANSWER_MAX));
}

bool outbox_record_due(const Tlsrpt__OutboxRecord *record, int64_t *out_utc_ms)
{
    bool is_due = false;

    for (size_t i = 0; i < record->n_destinations; i++) {
        const Tlsrpt__OutboxDestination *destination = record->destinations[i];
        if (destination->state != TLSRPT__OUTBOX_STATE__WAITING)
            continue;
        if (!is_due || destination->next_try_utc_ms < *out_utc_ms)
            *out_utc_ms = destination->next_try_utc_ms;
        is_due = true;
    }
    return is_due;
}

bool outbox_record_answered(const Tlsrpt__OutboxRecord *record, int64_t *out_utc_ms)
{
    int64_t latest_ms = 0;

    for (size_t i = 0; i < record->n_destinations; i++)
        if (record->destinations[i]->answered_utc_ms > latest_ms)
            latest_ms = record->destinations[i]->answered_utc_ms;
    if (latest_ms > 0)
        *out_utc_ms = latest_ms;
    return latest_ms > 0;
}

/* NULL for bytes that are no record of ours. */
static Tlsrpt__OutboxRecord *unpack(struct span key, struct span value)
{
    ProtobufCMessage *message = database_unpack(key, value, &tlsrpt__outbox_record__descriptor);
    Tlsrpt__OutboxRecord *record = (Tlsrpt__OutboxRecord *)message;

    if (record && record->n_destinations > RUA_MAX)
        outbox_record_free(&record);
    return record;
}

/* --- in a transaction */

static struct error *load(struct kv_txn *txn, const struct subject *subject,
                          Tlsrpt__OutboxRecord **out)
{
    struct subject_key key = subject_key(subject);
    struct span value;
    struct error *err = kv_get(txn, DATABASE_OUTBOX, subject_key_span(&key), &value);

    *out = NULL;
    if (err || !value.data)
        return err;
    *out = unpack(subject_key_span(&key), value);
    if (!*out)
        log_event(LOG_ERROR, "tlsrpt-record-damaged");
    return NULL;
}

static struct error *remove_row(struct kv_txn *txn, kv_table table, struct time_key key)
{
    return kv_remove(txn, table, time_key_span(&key));
}

static struct error *put_row(struct kv_txn *txn, kv_table table, struct time_key key)
{
    return kv_put(txn, table, time_key_span(&key), SPAN(""));
}

/* Takes the report's rows out of what is due and what was sent. */
static struct error *forget_rows(struct kv_txn *txn, const struct subject *subject)
{
    Tlsrpt__OutboxRecord *old;
    int64_t utc_ms = 0;
    struct error *err = load(txn, subject, &old);

    if (!err && old && outbox_record_due(old, &utc_ms))
        err = remove_row(txn, DATABASE_DUE, due_key_of(subject, utc_ms));
    if (!err && old && outbox_record_answered(old, &utc_ms))
        err = remove_row(txn, DATABASE_SENT, sent_key_of(subject, utc_ms));
    outbox_record_free(&old);
    return err;
}

static struct error *store(struct kv_txn *txn, const struct subject *subject,
                           const Tlsrpt__OutboxRecord *record)
{
    struct subject_key key = subject_key(subject);
    int64_t utc_ms = 0;
    struct error *err = forget_rows(txn, subject);

    if (!err)
        err = database_put(txn, DATABASE_OUTBOX, subject_key_span(&key), &record->base);
    if (!err && outbox_record_due(record, &utc_ms))
        err = put_row(txn, DATABASE_DUE, due_key_of(subject, utc_ms));
    if (!err && outbox_record_answered(record, &utc_ms))
        err = put_row(txn, DATABASE_SENT, sent_key_of(subject, utc_ms));
    return err;
}

/* Begins a transaction; what fails is told apart anew. */
static struct error *begin(struct outbox *outbox, bool to_write, struct kv_txn **out_txn)
{
    struct kv *kv = database_kv(outbox->database);

    outbox->is_full = false;
    return to_write ? kv_begin_write(kv, out_txn) : kv_begin_read(kv, out_txn);
}

static struct error *end_write(struct outbox *outbox, struct kv_txn **txn, struct error *err)
{
    err = database_end(outbox->database, txn, err, &outbox->is_full);
    return err ? error_wrap(err, "outbox of reports") : NULL;
}

static struct error *end_read(struct outbox *outbox, struct kv_txn **txn, struct error *err)
{
    if (err)
        return end_write(outbox, txn, err);
    kv_abort(txn);
    return NULL;
}

/* --- the calls */

struct outbox *outbox_new(struct database *database)
{
    struct outbox *outbox = memory_new(sizeof(*outbox));

    outbox->database = database;
    return outbox;
}

void outbox_free(struct outbox **outbox)
{
    free(*outbox);
    *outbox = NULL;
}

bool outbox_is_full(const struct outbox *outbox)
{
    return outbox->is_full;
}

struct error *outbox_get(struct outbox *outbox, const struct subject *subject,
                         Tlsrpt__OutboxRecord **out_record)
{
    struct kv_txn *txn = NULL;
    struct error *err = begin(outbox, false, &txn);

    *out_record = NULL;
    if (!err)
        err = load(txn, subject, out_record);
    return end_read(outbox, &txn, err);
}

struct error *outbox_put_all(struct outbox *outbox, const struct outbox_entry *entries,
                             size_t count)
{
    struct kv_txn *txn = NULL;
    struct error *err = begin(outbox, true, &txn);

    for (size_t i = 0; !err && i < count; i++)
        err = store(txn, &entries[i].subject, entries[i].record);
    return end_write(outbox, &txn, err);
}

struct error *outbox_put(struct outbox *outbox, const struct subject *subject,
                         const Tlsrpt__OutboxRecord *record)
{
    struct kv_txn *txn = NULL;
    struct error *err = begin(outbox, true, &txn);

    if (!err)
        err = store(txn, subject, record);
    return end_write(outbox, &txn, err);
}

/* The first key of a table behind that one, copied; len 0 at the end. */
static struct error *key_behind(struct outbox *outbox, kv_table table, struct span place,
                                struct time_key *out)
{
    struct kv_cursor *cursor = NULL;
    struct kv_txn *txn = NULL;
    struct span key = { NULL, 0 }, value;
    struct error *err = begin(outbox, false, &txn);

    out->len = 0;
    if (!err)
        err = kv_cursor_open(txn, table, &cursor);
    if (!err)
        err = kv_cursor_seek(cursor, place, &key, &value);
    if (!err && key.data && span_equal(key, place))
        err = kv_cursor_next(cursor, &key, &value);
    if (!err && key.data && key.len <= sizeof(out->bytes)) {
        memcpy(out->bytes, key.data, key.len);
        out->len = key.len;
    }
    kv_cursor_close(&cursor);
    return end_read(outbox, &txn, err);
}

static struct error *next_row(struct outbox *outbox, kv_table table, struct outbox_place *place,
                              struct subject *out_subject, bool *out_found)
{
    struct time_key key;
    struct error *err = key_behind(outbox, table, (struct span){ place->bytes, place->len }, &key);

    *out_found = !err && key.len > TIME_SIZE &&
                 read_key(span_from(time_key_span(&key), TIME_SIZE), out_subject);
    if (*out_found) {
        memcpy(place->bytes, key.bytes, key.len);
        place->len = key.len;
    }
    return err;
}

struct error *outbox_next_due(struct outbox *outbox, struct outbox_place *place,
                              struct subject *out_subject, int64_t *out_utc_ms, bool *out_found)
{
    struct error *err = next_row(outbox, DATABASE_DUE, place, out_subject, out_found);

    if (*out_found)
        *out_utc_ms = time_of((struct span){ place->bytes, place->len });
    return err;
}

struct error *outbox_next_sent(struct outbox *outbox, struct outbox_place *place,
                               struct subject *out_subject, bool *out_found)
{
    return next_row(outbox, DATABASE_SENT, place, out_subject, out_found);
}

struct error *outbox_pass_over(struct outbox *outbox, const struct outbox_place *place)
{
    struct kv_txn *txn = NULL;
    struct error *err = begin(outbox, true, &txn);

    if (!err)
        err = kv_remove(txn, DATABASE_DUE, (struct span){ place->bytes, place->len });
    return end_write(outbox, &txn, err);
}

/* The first report behind that one in the order of days. */
static struct error *next_report(struct outbox *outbox, const struct subject *subject,
                                 struct subject *out_subject, bool *out_found)
{
    struct subject_key place = subject_key(subject);
    struct time_key key;
    struct error *err = key_behind(outbox, DATABASE_OUTBOX, subject_key_span(&place), &key);

    *out_found = !err && key.len > 0 && read_key(time_key_span(&key), out_subject);
    return err;
}

struct error *outbox_count(struct outbox *outbox, uint64_t *out_count)
{
    struct kv_txn *txn = NULL;
    struct error *err = begin(outbox, false, &txn);

    if (!err)
        err = kv_count(txn, DATABASE_DUE, out_count);
    return end_read(outbox, &txn, err);
}

/* --- what is old */

static struct error *remove_report(struct kv_txn *txn, const struct subject *subject)
{
    struct subject_key key = subject_key(subject);
    struct error *err = forget_rows(txn, subject);

    return err ? err : kv_remove(txn, DATABASE_OUTBOX, subject_key_span(&key));
}

static struct error *remove_reports(struct outbox *outbox, const struct subject *subjects,
                                    unsigned count)
{
    struct kv_txn *txn = NULL;
    struct error *err = begin(outbox, true, &txn);

    for (unsigned i = 0; !err && i < count; i++)
        err = remove_report(txn, &subjects[i]);
    return end_write(outbox, &txn, err);
}

struct error *outbox_sweep(struct outbox *outbox, uint32_t day, bool *out_all)
{
    struct subject subjects[OUTBOX_SWEEP + 1] = { { .day = 0 } };
    struct error *err = NULL;
    unsigned count = 0;

    *out_all = false;
    while (!err && !*out_all && count < OUTBOX_SWEEP) {
        bool found;
        err = next_report(outbox, &subjects[count], &subjects[count + 1], &found);
        *out_all = !found || subjects[count + 1].day >= day;
        if (!*out_all)
            count++;
    }
    if (err || count == 0)
        return err;
    return remove_reports(outbox, subjects + 1, count);
}
