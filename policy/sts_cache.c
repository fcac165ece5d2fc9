#include "policy/sts_cache_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "policy/sts_export.h"

enum {
    VERSION = 1,
    EXPORT_AT_ONCE = 64, /* records in one piece */
    OPENINGS_MAX = 3,    /* starts that may die while they read before the database is blamed */
    RESERVE_BYTES = 4 * 1024 * 1024, /* of disk, so that policies can change while it is full */
};
#define MAP_BYTES ((uint64_t)16 << 30) /* address space; more than STS_POLICIES_MAX can fill */

static const char *const tables[TABLE_COUNT] = { "meta", "policy", "due", "failed" };
static const char export_name[] = "export";
static const char salvage_name[] = "salvaged";

/* ---- keys and values ---------------------------------------------------------------------- */

struct sts_time_key sts_time_key(int64_t utc_ms, const char *domain)
{
    struct sts_time_key key = { .len = TIME_SIZE + strlen(domain) };
    uint64_t time = utc_ms > 0 ? (uint64_t)utc_ms : 0;
    for (unsigned i = 0; i < TIME_SIZE; i++)
        key.bytes[i] = (char)(time >> (56 - 8 * i) & 0xff);
    memcpy(key.bytes + TIME_SIZE, domain, key.len - TIME_SIZE);
    return key;
}

struct span sts_time_key_span(const struct sts_time_key *key)
{
    return (struct span){ key->bytes, key->len };
}

int64_t sts_time_of(struct span key)
{
    uint64_t time = 0;
    for (unsigned i = 0; i < TIME_SIZE; i++)
        time = time << 8 | (unsigned char)key.data[i];
    return (int64_t)time;
}

uint32_t sts_checksum(struct span domain, struct span record)
{
    return kv_checksum(kv_checksum(0, domain), record);
}

struct span sts_record_of(struct span domain, struct span value)
{
    uint32_t sum;
    if (value.len <= CHECKSUM_SIZE)
        return (struct span){ NULL, 0 };
    memcpy(&sum, value.data, sizeof(sum));
    struct span record = span_from(value, CHECKSUM_SIZE);
    return sum == sts_checksum(domain, record) ? record : (struct span){ NULL, 0 };
}

static bool unpack_value(struct span domain, struct span value, struct sts_entry *out)
{
    struct span record = sts_record_of(domain, value);
    if (!record.data || !sts_entry_unpack(record, out))
        return false;
    if (span_equal(span_of(out->domain), domain))
        return true;
    sts_entry_clear(out);
    return false;
}

/* ---- in a transaction --------------------------------------------------------------------- */

static struct error *txn_load(struct kv_txn *txn, struct span domain, struct sts_entry *out)
{
    struct span value;
    memset(out, 0, sizeof(*out));
    struct error *err = kv_get(txn, TABLE_POLICY, domain, &value);
    if (err || !value.data || unpack_value(domain, value, out))
        return err;
    return error_new(ERROR_LOCAL, "the record is damaged");
}

/* Takes the domain's row out of `due`; an entry too damaged to name it leaves an idle row. */
static struct error *txn_forget_due(struct kv_txn *txn, struct span domain)
{
    struct sts_entry old;
    struct span value;
    struct error *err = kv_get(txn, TABLE_POLICY, domain, &value);
    if (err || !value.data || !unpack_value(domain, value, &old))
        return err;
    struct sts_time_key key = sts_time_key(old.refresh_utc_ms, old.domain);
    sts_entry_clear(&old);
    return kv_remove(txn, TABLE_DUE, sts_time_key_span(&key));
}

static struct error *txn_put_record(struct kv_txn *txn, const struct sts_entry *entry)
{
    size_t len;
    char *room = NULL;
    struct span domain = span_of(entry->domain);
    char *packed = sts_entry_pack(entry, &len);
    struct error *err = kv_put_room(txn, TABLE_POLICY, domain, CHECKSUM_SIZE + len, &room);
    if (!err) {
        uint32_t sum = sts_checksum(domain, (struct span){ packed, len });
        memcpy(room, &sum, sizeof(sum));
        memcpy(room + CHECKSUM_SIZE, packed, len);
    }
    free(packed);
    return err;
}

static struct error *txn_store(struct kv_txn *txn, const struct sts_entry *entry)
{
    struct sts_time_key key = sts_time_key(entry->refresh_utc_ms, entry->domain);
    struct error *err = txn_forget_due(txn, span_of(entry->domain));
    if (!err)
        err = txn_put_record(txn, entry);
    return err ? err : kv_put(txn, TABLE_DUE, sts_time_key_span(&key), SPAN(""));
}

/* On a disk that is full already there is none to be had. */
static void reserve(struct sts_cache *cache)
{
    struct error *err = kv_reserve(cache->kv, RESERVE_BYTES);
    error_free(&err);
}

struct error *sts_end_write(struct sts_cache *cache, struct kv_txn **txn, struct error *err)
{
    if (err) {
        cache->trouble = kv_txn_trouble(*txn);
        kv_abort(txn);
        return err;
    }
    err = kv_commit(txn);
    cache->trouble = kv_trouble(cache->kv);
    cache->changed = cache->changed || !err;
    if (!err)
        reserve(cache);
    return err;
}

/* ---- the calls ---------------------------------------------------------------------------- */

struct error *sts_cache_load(struct sts_cache *cache, struct span domain,
                             struct sts_entry *out_entry)
{
    struct kv_txn *txn = NULL;
    memset(out_entry, 0, sizeof(*out_entry));
    struct error *err = kv_begin_read(cache->kv, &txn);
    if (!err)
        err = txn_load(txn, domain, out_entry);
    kv_abort(&txn);
    return err ? error_wrap(err, "policy cache: " SPAN_FMT, SPAN_ARG(domain)) : NULL;
}

/* Is there room for one more?  Strangers choose domains; those that are kept are renewed always. */
static struct error *txn_find_room(struct kv_txn *txn, struct span domain, bool *out_room)
{
    struct span value;
    uint64_t count = 0;
    struct error *err = kv_get(txn, TABLE_POLICY, domain, &value);
    if (!err && !value.data)
        err = kv_count(txn, TABLE_POLICY, &count);
    *out_room = count < STS_POLICIES_MAX;
    return err;
}

struct error *sts_cache_store(struct sts_cache *cache, const struct sts_entry *entry)
{
    struct kv_txn *txn = NULL;
    bool has_room = true;
    struct error *err = kv_begin_write(cache->kv, &txn);
    if (!err)
        err = txn_find_room(txn, span_of(entry->domain), &has_room);
    if (!err && !has_room)
        err = error_new(ERROR_LOCAL, "%d policies are kept already", STS_POLICIES_MAX);
    if (txn)
        err = sts_end_write(cache, &txn, err ? err : txn_store(txn, entry));
    if (!has_room)
        cache->trouble = KV_FULL;
    return err ? error_wrap(err, "policy cache: store %s", entry->domain) : NULL;
}

struct error *sts_cache_remove(struct sts_cache *cache, struct span domain)
{
    struct kv_txn *txn = NULL;
    struct error *err = kv_begin_write(cache->kv, &txn);
    if (err)
        return err;
    err = txn_forget_due(txn, domain);
    if (!err)
        err = kv_remove(txn, TABLE_POLICY, domain);
    err = sts_end_write(cache, &txn, err);
    return err ? error_wrap(err, "policy cache: remove " SPAN_FMT, SPAN_ARG(domain)) : NULL;
}

bool sts_cache_is_full(const struct sts_cache *cache)
{
    return cache->trouble == KV_FULL;
}

static struct error *walk_due(struct kv_cursor *cursor, struct sts_span_of_time when, unsigned max,
                              char (*domains)[DOMAIN_MAX + 1], unsigned *out_count)
{
    struct sts_time_key first = sts_time_key(when.from_utc_ms, "");
    struct span key;
    struct span value;
    struct error *err = kv_cursor_seek(cursor, sts_time_key_span(&first), &key, &value);
    while (!err && key.data && *out_count < max && key.len > TIME_SIZE &&
           sts_time_of(key) <= when.to_utc_ms) {
        if (span_to_string(span_from(key, TIME_SIZE), domains[*out_count], DOMAIN_MAX + 1))
            (*out_count)++;
        err = kv_cursor_next(cursor, &key, &value);
    }
    return err;
}

struct error *sts_cache_due(struct sts_cache *cache, struct sts_span_of_time when, unsigned max,
                            char (*domains)[DOMAIN_MAX + 1], unsigned *out_count)
{
    struct kv_txn *txn = NULL;
    struct kv_cursor *cursor = NULL;
    *out_count = 0;
    struct error *err = kv_begin_read(cache->kv, &txn);
    if (!err)
        err = kv_cursor_open(txn, TABLE_DUE, &cursor);
    if (!err)
        err = walk_due(cursor, when, max, domains, out_count);
    kv_cursor_close(&cursor);
    kv_abort(&txn);
    return err ? error_wrap(err, "policy cache: what is due") : NULL;
}

/* ---- the export --------------------------------------------------------------------------- */

/*
 * Reads records from *from on, and adds them to `export` if there is one; at the end *from is "".
 * Damaged ones are left out and counted.
 */
static struct error *export_some(struct sts_cache *cache, struct sts_export *export, char *from,
                                 unsigned *out_damaged)
{
    struct kv_txn *txn = NULL;
    struct kv_cursor *cursor = NULL;
    struct span key = { NULL, 0 };
    struct span value;
    struct error *err = kv_begin_read(cache->kv, &txn);
    if (!err)
        err = kv_cursor_open(txn, TABLE_POLICY, &cursor);
    if (!err)
        err = kv_cursor_seek(cursor, span_of(from), &key, &value);
    for (unsigned i = 0; !err && key.data && i < EXPORT_AT_ONCE; i++) {
        struct span record = sts_record_of(key, value);
        if (!record.data)
            (*out_damaged)++;
        else if (export)
            err = sts_export_add(export, record);
        if (!err)
            err = kv_cursor_next(cursor, &key, &value);
    }
    if (!err && !span_to_string(key.data ? key : SPAN(""), from, DOMAIN_MAX + 1))
        (*out_damaged)++; /* from is "": the walk ends at a key that is none of ours */
    cache->trouble = txn ? kv_txn_trouble(txn) : kv_trouble(cache->kv);
    kv_cursor_close(&cursor);
    kv_abort(&txn);
    return err;
}

struct error *sts_cache_export(struct sts_cache *cache, bool *out_done)
{
    unsigned damaged = 0;
    struct error *err = NULL;
    *out_done = false;
    if (!cache->export) {
        cache->exported_to[0] = '\0';
        cache->changed = false;
        err = sts_export_open(cache->folder, export_name, &cache->export);
    }
    if (!err)
        err = export_some(cache, cache->export, cache->exported_to, &damaged);
    if (!err && damaged > 0)
        err = error_new(ERROR_LOCAL, "%u damaged records; the last export stays", damaged);
    if (!err && cache->exported_to[0] == '\0') {
        err = sts_export_finish(&cache->export);
        *out_done = !err;
    }
    if (err) {
        sts_export_drop(&cache->export);
        cache->changed = true;
    }
    return err;
}

bool sts_cache_changed(const struct sts_cache *cache)
{
    return cache->changed;
}

/* ---- opening ------------------------------------------------------------------------------ */

static void path_in(const struct sts_cache *cache, const char *name, char path[PATH_SIZE])
{
    ensure(snprintf(path, PATH_SIZE, "%s/%s", cache->folder, name) < PATH_SIZE);
}

static const struct span version_key = { "version", 7 };

/* Gives *out_new for a database that nobody has finished filling yet. */
static struct error *check_version(struct sts_cache *cache, bool *out_new,
                                   enum sts_cache_refusal *out_refusal)
{
    struct kv_txn *txn = NULL;
    struct span value;
    uint64_t version;
    struct error *err = kv_begin_read(cache->kv, &txn);
    if (err)
        return err;
    err = kv_get(txn, TABLE_META, version_key, &value);
    cache->trouble = kv_txn_trouble(txn);
    *out_new = !err && !value.data;
    if (!err && value.data && (!span_to_number(value, UINT32_MAX, &version) || version > VERSION)) {
        *out_refusal = STS_CACHE_NEWER;
        err = error_new(ERROR_LOCAL, "it was written by a newer version of waxseal");
    }
    kv_abort(&txn);
    return err;
}

/* How many starts in a row have died while they read the database. */
static unsigned openings_begin(const struct sts_cache *cache)
{
    char path[PATH_SIZE];
    unsigned before = 0;
    path_in(cache, "opening", path);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%u", &before) != 1)
        before = 0;
    if (file)
        fclose(file);
    file = fopen(path, "we");
    if (file) {
        fprintf(file, "%u\n", before + 1);
        fclose(file);
    }
    return before;
}

static void openings_end(const struct sts_cache *cache)
{
    char path[PATH_SIZE];
    path_in(cache, "opening", path);
    unlink(path);
}

static struct error *read_all_into(struct sts_cache *cache, struct sts_export *export,
                                   unsigned *out_damaged)
{
    char from[DOMAIN_MAX + 1] = "";
    struct error *err;
    *out_damaged = 0;
    do
        err = export_some(cache, export, from, out_damaged);
    while (!err && from[0] != '\0');
    return err;
}

static void forget_salvage(const struct sts_cache *cache)
{
    char path[PATH_SIZE];
    path_in(cache, salvage_name, path);
    unlink(path);
}

/* What is whole in a damaged database, as far as it can be had and written. */
static void salvage(struct sts_cache *cache)
{
    struct sts_export *export = NULL;
    unsigned damaged;
    struct error *err = sts_export_open(cache->folder, salvage_name, &export);
    if (!err)
        err = read_all_into(cache, export, &damaged);
    if (!err)
        err = sts_export_finish(&export);
    sts_export_drop(&export);
    error_free(&err);
}

/* Moves the database's files into a folder of their own. */
static struct error *set_aside(const struct sts_cache *cache)
{
    static const char *const files[] = { "data.mdb", "lock.mdb", "opening" };
    char name[64];
    char folder[PATH_SIZE];
    char from[PATH_SIZE];
    char to[PATH_SIZE + 32];
    struct log_line line;
    snprintf(name, sizeof(name), "damaged-%lld", (long long)clock_utc_ms());
    path_in(cache, name, folder);
    if (mkdir(folder, 0700))
        return error_errno(ERROR_LOCAL, errno, "make %s", folder);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        path_in(cache, files[i], from);
        snprintf(to, sizeof(to), "%s/%s", folder, files[i]);
        if (rename(from, to) && errno != ENOENT)
            return error_errno(ERROR_LOCAL, errno, "move %s to %s", from, to);
    }
    log_begin(&line, LOG_ERROR, "policy-database-damaged");
    log_string(&line, "set-aside", name);
    log_end(&line);
    return NULL;
}

struct refill {
    struct kv_txn *txn;
    unsigned count;
};

static struct error *refill_one(void *ctx, struct span record)
{
    struct refill *refill = ctx;
    struct sts_entry entry;
    if (refill->count >= STS_POLICIES_MAX || !sts_entry_unpack(record, &entry))
        return NULL;
    struct error *err = txn_store(refill->txn, &entry);
    sts_entry_clear(&entry);
    refill->count++;
    return err;
}

static struct error *refill_all(struct sts_cache *cache, struct refill *refill)
{
    struct error *err = kv_begin_write(cache->kv, &refill->txn);
    if (err)
        return err;
    err = sts_export_read(cache->folder, export_name, refill_one, refill);
    if (!err)
        err = sts_export_read(cache->folder, salvage_name, refill_one, refill);
    if (!err)
        err = kv_put(refill->txn, TABLE_META, version_key, SPAN("1"));
    return sts_end_write(cache, &refill->txn, err);
}

/* Fills a new database: from the export, then from what was still readable, which is newer. */
static struct error *fill(struct sts_cache *cache)
{
    struct refill refill = { NULL, 0 };
    struct log_line line;
    struct error *err = refill_all(cache, &refill);
    if (err || refill.count == 0)
        return err;
    log_begin(&line, LOG_WARNING, "policy-database-refilled");
    log_number(&line, "records", refill.count);
    log_end(&line);
    return NULL;
}

static struct error *open_and_fill(struct sts_cache *cache, int64_t wait_ms,
                                   enum sts_cache_refusal *out_refusal)
{
    bool is_new = false;
    struct error *err = kv_open(cache->folder, MAP_BYTES, tables, TABLE_COUNT, wait_ms, &cache->kv,
                                &cache->trouble);
    if (!err)
        err = check_version(cache, &is_new, out_refusal);
    return !err && is_new ? fill(cache) : err;
}

/* Opens what is there and reads it all; *out_damaged when it must be replaced. */
static struct error *open_and_read(struct sts_cache *cache, int64_t wait_ms, bool *out_damaged,
                                   enum sts_cache_refusal *out_refusal)
{
    unsigned records = 0;
    struct error *err = open_and_fill(cache, wait_ms, out_refusal);
    if (!err)
        err = read_all_into(cache, NULL, &records);
    *out_damaged = records > 0 || (err && cache->trouble == KV_BROKEN);
    if (records > 0)
        salvage(cache);
    else if (!err)
        forget_salvage(cache);
    return err;
}

static struct error *open_whole(struct sts_cache *cache, int64_t wait_ms,
                                enum sts_cache_refusal *out_refusal)
{
    bool damaged = openings_begin(cache) >= OPENINGS_MAX;
    struct error *err = NULL;
    if (!damaged)
        err = open_and_read(cache, wait_ms, &damaged, out_refusal);
    if (damaged) {
        error_free(&err);
        kv_close(&cache->kv);
        err = set_aside(cache);
        if (!err)
            err = open_and_fill(cache, wait_ms, out_refusal);
    }
    openings_end(cache);
    return err;
}

struct error *sts_cache_open(const char *folder, int64_t wait_ms, struct sts_cache **out_cache,
                             enum sts_cache_refusal *out_refusal)
{
    struct sts_cache *cache = memory_new(sizeof(*cache));
    ensure(snprintf(cache->folder, sizeof(cache->folder), "%s", folder) < PATH_SIZE);
    *out_refusal = STS_CACHE_TROUBLE;
    struct error *err = open_whole(cache, wait_ms, out_refusal);
    if (err) {
        sts_cache_close(&cache);
        return error_wrap(err, "policy database");
    }
    *out_cache = cache;
    return NULL;
}

void sts_cache_close(struct sts_cache **cache)
{
    struct sts_cache *c = *cache;
    *cache = NULL;
    if (!c)
        return;
    sts_export_drop(&c->export);
    kv_close(&c->kv);
    free(c);
}
