#include "tlsrpt/tally.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/io/kv.h"
#include "lib/ipc/role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1,
    SUM_SIZE = 4,
    DAY_SIZE = 4,
    KEY_SIZE = DAY_SIZE + DOMAIN_MAX,
    SWEEP_KEYS = 256,          /* old records removed with one transaction */
    GATHERED_MAX = 4096,       /* records kept in memory */
    GATHERED_BYTES = 16 << 20, /* about as much as their memory */
    LOCK_WAIT_MS = 60 * SECOND_MS,
};

static const uint64_t map_bytes = UINT64_C(4) << 30; /* address space; a day's record is small */

enum table { TABLE_META, TABLE_DAY, TABLE_COUNT };
static const char *const table_names[TABLE_COUNT] = { "meta", "day" };

struct key {
    char bytes[KEY_SIZE];
    size_t len;
};

/* A record in memory: read from disk or new, changed or not. */
struct gathered {
    struct key key;
    Tlsrpt__DayRecord *record;
    bool changed;
};

struct tally {
    struct kv *kv;
    char *folder;
    struct map *gathered; /* struct gathered by key */
    size_t bytes;
    uint32_t swept_to; /* no record is older than this day */
};

static struct span key_span(const struct key *key)
{
    return (struct span){ key->bytes, key->len };
}

static struct key key_of(uint32_t day, struct span domain)
{
    struct key key = { .len = DAY_SIZE };

    for (int i = 0; i < DAY_SIZE; i++)
        key.bytes[i] = (char)(day >> (8 * (DAY_SIZE - 1 - i)));
    for (size_t i = 0; i < domain.len && key.len < KEY_SIZE; i++)
        key.bytes[key.len++] = ascii_lower(domain.data[i]);
    return key;
}

/* --- records and their checksums */

static uint32_t sum_of(struct span key, struct span packed)
{
    return kv_checksum(kv_checksum(0, key), packed);
}

static void put_number(char *room, uint32_t number)
{
    for (int i = 0; i < SUM_SIZE; i++)
        room[i] = (char)(number >> (8 * i));
}

static uint32_t get_number(const char *bytes)
{
    uint32_t number = 0;

    for (int i = 0; i < SUM_SIZE; i++)
        number |= (uint32_t)(unsigned char)bytes[i] << (8 * i);
    return number;
}

/* NULL for bytes that are no record of ours. */
static Tlsrpt__DayRecord *unpack(struct span key, struct span value)
{
    struct span packed = span_from(value, SUM_SIZE);
    Tlsrpt__DayRecord *record;

    if (value.len < SUM_SIZE || get_number(value.data) != sum_of(key, packed))
        return NULL;
    record = tlsrpt__day_record__unpack(NULL, packed.len, (const uint8_t *)packed.data);
    if (record && !counts_record_is_valid(record))
        counts_free(&record);
    return record;
}

static struct error *put_record(struct kv_txn *txn, const struct gathered *g)
{
    size_t len = tlsrpt__day_record__get_packed_size(g->record);
    struct span key = key_span(&g->key);
    struct error *err;
    char *room;

    err = kv_put_room(txn, TABLE_DAY, key, SUM_SIZE + len, &room);
    if (err)
        return err;
    tlsrpt__day_record__pack(g->record, (uint8_t *)room + SUM_SIZE);
    put_number(room, sum_of(key, (struct span){ room + SUM_SIZE, len }));
    return NULL;
}

/* Gives NULL inside when there is none; a record that is damaged is as good as none. */
static struct error *get_record(struct tally *tally, const struct key *key,
                                Tlsrpt__DayRecord **out_record)
{
    struct kv_txn *txn = NULL;
    struct span value = { NULL, 0 };
    struct error *err;

    *out_record = NULL;
    err = kv_begin_read(tally->kv, &txn);
    if (!err)
        err = kv_get(txn, TABLE_DAY, key_span(key), &value);
    if (!err && value.data) {
        *out_record = unpack(key_span(key), value);
        if (!*out_record)
            log_event(LOG_ERROR, "tlsrpt-record-damaged");
    }
    kv_abort(&txn);
    return err;
}

/* --- what is gathered in memory */

static void gathered_free(struct gathered *g)
{
    counts_free(&g->record);
    free(g);
}

static void forget_all(struct tally *tally)
{
    struct gathered *g;
    size_t cursor = 0;

    while ((g = map_next(tally->gathered, &cursor, NULL)))
        gathered_free(g);
    map_free(&tally->gathered);
    tally->gathered = map_new();
    tally->bytes = 0;
}

/* The record of a key in memory, read from disk when it is not there. */
static struct error *gather(struct tally *tally, uint32_t day, struct span domain,
                            struct gathered **out)
{
    struct key key = key_of(day, domain);
    Tlsrpt__DayRecord *record;
    struct error *err;

    *out = map_get(tally->gathered, key_span(&key));
    if (*out)
        return NULL;
    err = get_record(tally, &key, &record);
    if (err)
        return err;
    *out = memory_new(sizeof(**out));
    (*out)->key = key;
    (*out)->record = record ? record : counts_new();
    map_put(tally->gathered, key_span(&key), *out);
    tally->bytes += sizeof(**out) + 2 * tlsrpt__day_record__get_packed_size((*out)->record);
    return NULL;
}

struct error *tally_add(struct tally *tally, uint32_t day, const Ipc__SessionEvent *event)
{
    struct span domain = { (const char *)event->domain.data, event->domain.len };
    struct gathered *g;
    struct error *err = gather(tally, day, domain, &g);

    if (err)
        return error_wrap(err, "report database");
    counts_add(g->record, event, 1);
    g->changed = true;
    tally->bytes += ipc__session_event__get_packed_size(event);
    return NULL;
}

bool tally_is_full(const struct tally *tally)
{
    return map_count(tally->gathered) >= GATHERED_MAX || tally->bytes >= GATHERED_BYTES;
}

struct error *tally_look(struct tally *tally, uint32_t day, struct span domain,
                         const Tlsrpt__DayRecord **out_record)
{
    struct gathered *g;
    struct error *err = gather(tally, day, domain, &g);

    if (err)
        return error_wrap(err, "report database");
    *out_record = g->record->n_policies > 0 ? g->record : NULL;
    return NULL;
}

/* --- to disk */

static struct error *put_all(struct tally *tally, struct kv_txn *txn)
{
    struct gathered *g;
    size_t cursor = 0;
    struct error *err = NULL;

    while (!err && (g = map_next(tally->gathered, &cursor, NULL)))
        if (g->changed)
            err = put_record(txn, g);
    return err;
}

/* Copies the first keys before `end`; gives how many. */
static struct error *find_old(struct kv_txn *txn, struct span end, struct key keys[SWEEP_KEYS],
                              unsigned *out_count)
{
    struct kv_cursor *cursor = NULL;
    struct span key = { NULL, 0 }, value;
    struct error *err;

    *out_count = 0;
    err = kv_cursor_open(txn, TABLE_DAY, &cursor);
    if (!err)
        err = kv_cursor_seek(cursor, (struct span){ "", 0 }, &key, &value);
    while (!err && key.data && *out_count < SWEEP_KEYS && key.len <= KEY_SIZE &&
           key.len >= DAY_SIZE && memcmp(key.data, end.data, DAY_SIZE) < 0) {
        struct key *copy = &keys[(*out_count)++];
        memcpy(copy->bytes, key.data, key.len);
        copy->len = key.len;
        err = kv_cursor_next(cursor, &key, &value);
    }
    kv_cursor_close(&cursor);
    return err;
}

/* Removes some of the records that nobody will ask for any more. */
static struct error *sweep(struct tally *tally, struct kv_txn *txn, uint32_t today)
{
    uint32_t oldest = today > TALLY_DAYS_KEPT ? today - TALLY_DAYS_KEPT : 0;
    struct key end = key_of(oldest, SPAN(""));
    struct key keys[SWEEP_KEYS];
    struct error *err;
    unsigned count;

    if (tally->swept_to >= oldest)
        return NULL;
    err = find_old(txn, key_span(&end), keys, &count);
    for (unsigned i = 0; !err && i < count; i++)
        err = kv_remove(txn, TABLE_DAY, key_span(&keys[i]));
    if (!err && count < SWEEP_KEYS)
        tally->swept_to = oldest;
    return err;
}

static struct error *write_all(struct tally *tally, uint32_t today, bool *out_full)
{
    struct kv_txn *txn = NULL;
    struct error *err;

    err = kv_begin_write(tally->kv, &txn);
    if (!err)
        err = sweep(tally, txn, today);
    if (!err)
        err = put_all(tally, txn);
    if (err && txn)
        *out_full = kv_txn_trouble(txn) == KV_FULL;
    if (!err) {
        err = kv_commit(&txn);
        *out_full = err && kv_trouble(tally->kv) == KV_FULL;
    }
    kv_abort(&txn);
    return err;
}

/* A full disk costs counts, never mail. */
static void log_lost(struct tally *tally, const struct error *err)
{
    struct log_line line;

    log_begin(&line, LOG_WARNING, "tlsrpt-counts-lost");
    log_number(&line, "records", (int64_t)map_count(tally->gathered));
    log_error(&line, err);
    log_end(&line);
}

/* Under a name of its own: what was set aside before may still be wanted. */
static void set_aside(const char *folder)
{
    char from[SETTINGS_PATH_SIZE + 32], to[SETTINGS_PATH_SIZE + 48];
    struct log_line line;

    snprintf(from, sizeof(from), "%s/data.mdb", folder);
    snprintf(to, sizeof(to), "%s/damaged-%lld.mdb", folder, (long long)clock_utc_ms());
    rename(from, to);
    log_begin(&line, LOG_ERROR, "tlsrpt-database-damaged");
    log_string(&line, "set-aside", to);
    log_end(&line);
}

struct error *tally_write(struct tally *tally, uint32_t today)
{
    bool full = false;
    struct error *err = write_all(tally, today, &full);

    if (err && full) {
        log_lost(tally, err);
        error_free(&err);
    }
    if (err && kv_trouble(tally->kv) == KV_BROKEN)
        set_aside(tally->folder);
    forget_all(tally);
    return err ? error_wrap(err, "report database") : NULL;
}

/* --- opening */

static struct error *check_version(struct tally *tally, int *out_exit_status)
{
    struct kv_txn *txn = NULL;
    struct span value;
    char number[SUM_SIZE];
    struct error *err;

    err = kv_begin_write(tally->kv, &txn);
    if (err)
        return err;
    err = kv_get(txn, TABLE_META, SPAN("version"), &value);
    if (!err && value.len == SUM_SIZE && get_number(value.data) > VERSION) {
        *out_exit_status = ROLE_EXIT_REFUSED;
        err = error_new(ERROR_LOCAL, "written by a newer waxseal (version %u, known here: %d)",
                        get_number(value.data), VERSION);
    }
    put_number(number, VERSION);
    if (!err)
        err = kv_put(txn, TABLE_META, SPAN("version"), (struct span){ number, SUM_SIZE });
    if (!err)
        return kv_commit(&txn);
    kv_abort(&txn);
    return err;
}

static struct error *open_store(struct tally *tally, enum kv_trouble *out_trouble)
{
    return kv_open(tally->folder, map_bytes, table_names, TABLE_COUNT, LOCK_WAIT_MS, &tally->kv,
                   out_trouble);
}

struct error *tally_open(const char *folder, struct tally **out_tally, int *out_exit_status)
{
    struct tally *tally = memory_new(sizeof(*tally));
    enum kv_trouble trouble = KV_FINE;
    struct error *err;

    tally->folder = memory_copy_text(folder);
    tally->gathered = map_new();
    err = open_store(tally, &trouble);
    if (err && trouble == KV_BROKEN) {
        log_failure(LOG_ERROR, "tlsrpt-database-damaged", err);
        error_free(&err);
        set_aside(folder);
        err = open_store(tally, &trouble);
    }
    *out_exit_status = trouble == KV_FINE ? ROLE_EXIT_REFUSED : ROLE_EXIT_TROUBLE;
    if (!err) {
        *out_exit_status = ROLE_EXIT_TROUBLE;
        err = check_version(tally, out_exit_status);
    }
    if (err) {
        tally_close(&tally);
        return error_wrap(err, "report database");
    }
    *out_tally = tally;
    return NULL;
}

void tally_close(struct tally **tally)
{
    struct tally *t = *tally;

    *tally = NULL;
    if (!t)
        return;
    forget_all(t);
    map_free(&t->gathered);
    kv_close(&t->kv);
    free(t->folder);
    free(t);
}
