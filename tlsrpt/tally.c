#include "tlsrpt/tally.h"

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "tlsrpt/ledger.h"

#include <stdlib.h>
#include <string.h>

enum {
    GATHERED_MAX = 4096,       /* distinct events kept in memory */
    GATHERED_BYTES = 16 << 20, /* about as much as their memory */
    EVENT_BYTES_MAX = 1 << 20, /* of one that is valid: its text, its patterns, its failures */
};

/* What is gathered of equal events for one subject; they themselves are its key. */
struct gathered {
    uint64_t sessions;
};

/* What a subject's record was found to be. */
struct note {
    enum tally_wish wish;
    char *record;
    size_t record_len;
};

struct tally {
    struct database *database;
    struct map *gathered; /* struct gathered by subject key and packed event */
    struct map *notes;    /* struct note by subject key */
    struct buf key;       /* of the event at hand */
    size_t bytes;
    uint32_t swept_to;       /* nothing is older than this day */
    uint64_t dropped;        /* sessions that nobody has been told of yet */
    int64_t dropped_said_ms; /* when somebody was told last; 0: never */
};

/* --- in memory */

static void note_free(struct note *note)
{
    free(note->record);
    free(note);
}

static void forget_all(struct tally *tally)
{
    struct gathered *g;
    struct note *note;
    size_t cursor = 0;

    while ((g = map_next(tally->gathered, &cursor, NULL)))
        free(g);
    for (cursor = 0; (note = map_next(tally->notes, &cursor, NULL));)
        note_free(note);
    map_free(&tally->gathered);
    map_free(&tally->notes);
    tally->gathered = map_new();
    tally->notes = map_new();
    tally->bytes = 0;
}

struct tally *tally_new(struct database *database)
{
    struct tally *tally = memory_new(sizeof(*tally));

    tally->database = database;
    tally->gathered = map_new();
    tally->notes = map_new();
    buf_init(&tally->key, EVENT_BYTES_MAX);
    return tally;
}

void tally_free(struct tally **tally)
{
    struct tally *t = *tally;

    *tally = NULL;
    if (!t)
        return;
    forget_all(t);
    map_free(&t->gathered);
    map_free(&t->notes);
    buf_clear(&t->key);
    free(t);
}

void tally_add(struct tally *tally, const struct subject *subject, const Ipc__SessionEvent *event,
               uint64_t sessions)
{
    struct subject_key key = subject_key(subject);
    struct gathered *g;

    buf_reset(&tally->key);
    ensure(buf_append(&tally->key, subject_key_span(&key)));
    counts_pack(event, span_of(subject->domain), &tally->key);
    g = map_get(tally->gathered, buf_span(&tally->key));
    if (!g) {
        g = memory_new(sizeof(*g));
        map_put(tally->gathered, buf_span(&tally->key), g);
        tally->bytes += buf_len(&tally->key) + sizeof(*g);
    }
    g->sessions += sessions;
}

void tally_note_wish(struct tally *tally, const struct subject *subject, enum tally_wish wish,
                     struct span record)
{
    struct subject_key key = subject_key(subject);
    struct note *note = map_get(tally->notes, subject_key_span(&key));

    ensure(record.len <= TALLY_RECORD_MAX);
    if (note && note->wish > wish)
        return;
    if (!note) {
        note = memory_new(sizeof(*note));
        map_put(tally->notes, subject_key_span(&key), note);
    }
    free(note->record);
    *note = (struct note){ wish, memory_copy_span(record), record.len };
    tally->bytes += record.len + sizeof(*note);
}

bool tally_is_full(const struct tally *tally)
{
    return map_count(tally->gathered) + map_count(tally->notes) >= GATHERED_MAX ||
           tally->bytes >= GATHERED_BYTES;
}

/* --- to disk */

static struct error *put_event(struct ledger *ledger, struct span key, const struct gathered *g)
{
    Ipc__SessionEvent *event;
    struct subject subject;
    struct span packed;
    struct error *err;

    ensure(subject_parse(key, &subject, &packed)); /* we made it */
    event = ipc__session_event__unpack(NULL, packed.len, (const uint8_t *)packed.data);
    ensure(event != NULL);
    err = ledger_add(ledger, &subject, event,
                     (struct ledger_times){ .succeeded = event->failed ? 0 : g->sessions,
                                            .failed = event->failed ? g->sessions : 0,
                                            .failures = g->sessions });
    ipc__session_event__free_unpacked(event, NULL);
    return err;
}

static struct error *put_note(struct ledger *ledger, struct span key, const struct note *note)
{
    struct subject subject;
    struct span rest;

    ensure(subject_parse(key, &subject, &rest));
    return ledger_note_wish(ledger, &subject, note->wish,
                            (struct span){ note->record, note->record_len });
}

static struct error *put_all(struct tally *tally, struct ledger *ledger)
{
    const struct gathered *g;
    const struct note *note;
    struct span key;
    size_t cursor = 0;
    struct error *err = NULL;

    while (!err && (g = map_next(tally->gathered, &cursor, &key)))
        err = put_event(ledger, key, g);
    for (cursor = 0; !err && (note = map_next(tally->notes, &cursor, &key));)
        err = put_note(ledger, key, note);
    return err;
}

/* Once a minute at most: it lasts until the day ends. */
static void log_dropped(struct tally *tally)
{
    int64_t now = clock_monotonic_ms();
    struct log_line line;

    if (tally->dropped == 0 ||
        (tally->dropped_said_ms != 0 && now - tally->dropped_said_ms < MINUTE_MS))
        return;
    log_begin(&line, LOG_WARNING, "tlsrpt-counts-dropped");
    log_number(&line, "sessions", (int64_t)tally->dropped);
    log_end(&line);
    tally->dropped = 0;
    tally->dropped_said_ms = now;
}

static struct error *add_all(struct tally *tally, struct kv_txn *txn)
{
    struct ledger *ledger = ledger_begin(txn);
    uint64_t dropped = 0;
    struct error *err = put_all(tally, ledger);

    if (!err)
        err = ledger_end(&ledger, &dropped);
    tally->dropped += dropped;
    log_dropped(tally);
    ledger_free(&ledger);
    return err;
}

/* Removes some of what nobody will ask for any more. */
static struct error *sweep(struct tally *tally, struct kv_txn *txn, uint32_t today)
{
    uint32_t oldest = today > TALLY_DAYS_KEPT ? today - TALLY_DAYS_KEPT : 0;
    bool all = false;
    struct error *err;

    if (tally->swept_to >= oldest)
        return NULL;
    err = ledger_sweep(txn, oldest, &all);
    if (!err && all)
        tally->swept_to = oldest;
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

struct error *tally_write(struct tally *tally, uint32_t today)
{
    struct kv_txn *txn = NULL;
    bool is_full = false;
    struct error *err;

    err = kv_begin_write(database_kv(tally->database), &txn);
    if (!err)
        err = sweep(tally, txn, today);
    if (!err)
        err = add_all(tally, txn);
    err = database_end(tally->database, &txn, err, &is_full);
    if (err && is_full) {
        log_lost(tally, err);
        error_free(&err);
    }
    forget_all(tally);
    return err ? error_wrap(err, "report database") : NULL;
}

/* --- reading */

/* Writes what was gathered, and begins. */
static struct error *begin_read(struct tally *tally, struct kv_txn **out_txn)
{
    struct error *err = NULL;

    if (map_count(tally->gathered) + map_count(tally->notes) > 0)
        err = tally_write(tally, 0);
    if (!err)
        err = kv_begin_read(database_kv(tally->database), out_txn);
    return err;
}

struct error *tally_walk(struct tally *tally, const struct subject *from, uint32_t before,
                         tally_walk_fn *visit, void *ctx)
{
    struct kv_txn *txn = NULL;
    struct error *err = begin_read(tally, &txn);

    if (!err)
        err = ledger_walk(txn, from, before, visit, ctx);
    kv_abort(&txn);
    return err ? error_wrap(err, "report database") : NULL;
}

struct look {
    const struct subject *subject;
    tally_sum_fn *visit;
    void *ctx;
    bool found;
};

static bool on_first(void *ctx, const struct tally_sum *sum)
{
    struct look *look = ctx;

    look->found = subject_equal(&sum->subject, look->subject);
    if (look->found)
        look->visit(look->ctx, sum);
    return false;
}

struct error *tally_look(struct tally *tally, const struct subject *subject, tally_sum_fn *visit,
                         void *ctx, bool *out_found)
{
    struct look look = { subject, visit, ctx, false };
    struct error *err = tally_walk(tally, subject, subject->day + 1, on_first, &look);

    *out_found = look.found;
    return err;
}

struct error *tally_read(struct tally *tally, const struct subject *subject,
                         const struct tally_reader *reader, void *ctx)
{
    struct kv_txn *txn = NULL;
    struct error *err = begin_read(tally, &txn);

    if (!err)
        err = ledger_read(txn, subject, reader, ctx);
    kv_abort(&txn);
    return err ? error_wrap(err, "report database") : NULL;
}
