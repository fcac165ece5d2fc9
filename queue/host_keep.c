#include "queue/host_keep.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "queue/records.pb-c.h"

enum {
    ALONE_MS = 10 * SECOND_MS, /* that nothing else was committed, before it is written alone */
    BETWEEN_MS = SECOND_MS,    /* writings that ride along */
    ROWS_AT_ONCE = 1000,
    ROW_BYTES = 512,
    LOOKED_AT = 64, /* rows, for old ones, each time something is written */
};

struct kept_row {
    struct record_key key;
    struct host_limit limit; /* not learned: the row is to go */
    char words[HOST_WORDS_SIZE];
};

struct writing {
    struct operation operation;
    struct host_keep *keep;
    struct record_key from; /* where old rows are looked for ... */
    struct record_key to;   /* ... so far */
    size_t count;
    struct kept_row rows[];
};

struct host_keep {
    struct loop *loop;
    struct store *store;
    struct committer *committer;
    struct loop_timer *timer;
    struct list *changed;
    struct arena arena;
    struct record_key looked; /* for old rows, so far */
    unsigned writings;        /* under way */
    int64_t written_ms;       /* of the loop: when the last one was begun */
};

/* ---- one row -------------------------------------------------------------------------------- */

static bool is_over(const struct host_limit *limit, int64_t now_ms)
{
    return now_ms >= host_limit_expiry(limit);
}

static struct host_limit limit_of(const Queue__HostRecord *record)
{
    return (struct host_limit){ .limit = record->limit,
                                .is_learned = true,
                                .step = record->step,
                                .wait_ms = record->wait_ms,
                                .probe_ms = record->probe_utc_ms,
                                .trouble_ms = record->trouble_utc_ms };
}

static struct error *put_row(struct store_txn *txn, struct kept_row *row)
{
    Queue__HostRecord record = QUEUE__HOST_RECORD__INIT;

    record.limit = row->limit.limit;
    record.step = row->limit.step;
    record.wait_ms = row->limit.wait_ms;
    record.probe_utc_ms = row->limit.probe_ms;
    record.trouble_utc_ms = row->limit.trouble_ms;
    record.words = bytes_of_span(span_of(row->words));
    return store_put(txn, TABLE_HOST, &row->key, &record.base);
}

static struct error *write_row(struct store_txn *txn, struct kept_row *row, uint64_t *count)
{
    if (!row->limit.is_learned)
        return store_remove(txn, TABLE_HOST, &row->key);
    if (*count >= HOSTS_KEPT_MAX)
        return NULL; /* learned again after a restart */
    (*count)++;
    return put_row(txn, row);
}

/* ---- rows that are over --------------------------------------------------------------------- */

static bool row_is_over(struct store_txn *txn, struct span key, struct span value)
{
    const Queue__HostRecord *record = record_read(
        TABLE_HOST, key, value, &queue__host_record__descriptor, &txn->arena->allocator);

    if (!record)
        return true; /* damaged: it is no loss */
    struct host_limit limit = limit_of(record);
    return is_over(&limit, txn->now_ms);
}

static size_t find_old(struct store_txn *txn, struct kv_cursor *cursor, struct record_key *from,
                       struct record_key old[LOOKED_AT])
{
    struct span key;
    struct span value;
    size_t count = 0;
    struct error *err = kv_cursor_seek(cursor, key_span(from), &key, &value);

    from->len = 0;
    for (int i = 0; i < LOOKED_AT && !err && key.data && key.len <= sizeof(from->bytes); i++) {
        memcpy(from->bytes, key.data, key.len);
        from->len = key.len;
        if (row_is_over(txn, key, value))
            old[count++] = *from;
        err = kv_cursor_next(cursor, &key, &value);
    }
    if (err || !key.data)
        from->len = 0; /* from the beginning the next time */
    error_free(&err);
    return count;
}

static struct error *remove_old(struct store_txn *txn, struct record_key *from)
{
    struct record_key old[LOOKED_AT];
    struct kv_cursor *cursor = NULL;
    size_t count = 0;
    struct error *err = kv_cursor_open(txn->kv, TABLE_HOST, &cursor);

    if (!err)
        count = find_old(txn, cursor, from, old);
    kv_cursor_close(&cursor);
    for (size_t i = 0; i < count && !err; i++)
        err = store_remove(txn, TABLE_HOST, &old[i]);
    return err;
}

/* ---- writing -------------------------------------------------------------------------------- */

static struct error *apply_writing(struct operation *operation, struct store_txn *txn)
{
    struct writing *writing = (struct writing *)operation;
    uint64_t count;

    writing->to = writing->from;
    struct error *err = remove_old(txn, &writing->to);
    if (!err)
        err = kv_count(txn->kv, TABLE_HOST, &count);
    for (size_t i = 0; i < writing->count && !err; i++)
        err = write_row(txn, &writing->rows[i], &count);
    return err;
}

static void on_written(struct operation *operation, enum operation_outcome outcome)
{
    struct writing *writing = (struct writing *)operation;
    struct host_keep *keep = writing->keep;

    keep->writings--;
    if (outcome == OPERATION_COMMITTED)
        keep->looked = writing->to;
    if (keep->changed)
        host_keep_soon(keep, keep->changed);
    free(writing);
}

static struct writing *writing_new(struct host_keep *keep, size_t most)
{
    struct writing *writing = memory_new(sizeof(*writing) + most * sizeof(writing->rows[0]));

    writing->keep = keep;
    writing->from = keep->looked;
    writing->operation.lane = LANE_SETTLEMENT;
    writing->operation.apply = apply_writing;
    writing->operation.done = on_written;
    return writing;
}

static void writing_begin(struct writing *writing)
{
    writing->operation.bytes = writing->count * ROW_BYTES;
    writing->keep->writings++;
    committer_add(writing->keep->committer, &writing->operation);
}

static void take_row(struct writing *writing, struct host_state *state)
{
    struct kept_row *row = &writing->rows[writing->count++];

    row->key = key_of_host(state->kind, span_of(state->name));
    row->limit = state->limit;
    memcpy(row->words, state->words, sizeof(row->words));
    list_remove(&state->changed);
}

static bool has_changed(const struct host_keep *keep)
{
    return keep->changed && !list_empty(keep->changed);
}

static void write_some(struct host_keep *keep)
{
    loop_timer_cancel(keep->timer);
    keep->written_ms = loop_now(keep->loop);
    struct writing *writing = writing_new(keep, ROWS_AT_ONCE);
    while (!list_empty(keep->changed) && writing->count < ROWS_AT_ONCE)
        take_row(writing, LIST_FIRST(keep->changed, struct host_state, changed));
    writing_begin(writing);
}

void host_keep_now(struct host_keep *keep)
{
    while (has_changed(keep))
        write_some(keep);
}

static void on_timer(void *ctx)
{
    struct host_keep *keep = ctx;

    if (has_changed(keep) && keep->writings == 0)
        write_some(keep);
}

/* Something else is committed now. */
static void on_company(void *ctx)
{
    struct host_keep *keep = ctx;

    if (loop_now(keep->loop) - keep->written_ms >= BETWEEN_MS)
        on_timer(keep);
}

void host_keep_soon(struct host_keep *keep, struct list *changed)
{
    keep->changed = changed;
    if (!list_empty(changed) && keep->writings == 0 && !loop_timer_running(keep->timer))
        loop_timer_start(keep->timer, ALONE_MS);
}

/* ---- reading -------------------------------------------------------------------------------- */

static void take_record(struct host_state *state, const Queue__HostRecord *record)
{
    state->limit = limit_of(record);
    span_to_string(span_first(span_of_bytes(record->words), HOST_WORDS_SIZE - 1), state->words,
                   sizeof(state->words));
}

bool host_keep_load(struct host_keep *keep, struct host_state *state)
{
    struct record_key key = key_of_host(state->kind, span_of(state->name));
    const Queue__HostRecord *record = NULL;
    struct kv_txn *txn = NULL;
    struct error *err = kv_begin_read(store_kv(keep->store), &txn);

    arena_reset(&keep->arena);
    if (!err)
        record =
            store_look_up(txn, TABLE_HOST, &key, &queue__host_record__descriptor, &keep->arena);
    kv_abort(&txn);
    error_free(&err);
    if (!record)
        return false;
    take_record(state, record);
    return !is_over(&state->limit, clock_utc_ms());
}

/* Gives false to end. */
static bool visit_row(struct host_keep *keep, struct span key, struct span value,
                      host_keep_visit_fn *visit, void *ctx)
{
    struct host_state state = { .open = 0 };
    struct span name;

    arena_reset(&keep->arena);
    const Queue__HostRecord *record = record_read(
        TABLE_HOST, key, value, &queue__host_record__descriptor, &keep->arena.allocator);
    if (!record || !key_read_host(key, &state.kind, &name) ||
        !span_to_string(name, state.name, sizeof(state.name)))
        return true;
    take_record(&state, record);
    return is_over(&state.limit, clock_utc_ms()) || visit(ctx, &state);
}

static struct error *walk(struct host_keep *keep, struct kv_cursor *cursor,
                          const struct record_key *after, host_keep_visit_fn *visit, void *ctx)
{
    struct span from = after ? key_span(after) : SPAN("");
    struct span key;
    struct span value;
    struct error *err = kv_cursor_seek(cursor, from, &key, &value);

    if (!err && key.data && after && span_equal(key, from))
        err = kv_cursor_next(cursor, &key, &value);
    while (!err && key.data && visit_row(keep, key, value, visit, ctx))
        err = kv_cursor_next(cursor, &key, &value);
    return err;
}

struct error *host_keep_walk(struct host_keep *keep, const struct record_key *after,
                             host_keep_visit_fn *visit, void *ctx)
{
    struct kv_txn *txn = NULL;
    struct kv_cursor *cursor = NULL;
    struct error *err = kv_begin_read(store_kv(keep->store), &txn);

    if (!err)
        err = kv_cursor_open(txn, TABLE_HOST, &cursor);
    if (!err)
        err = walk(keep, cursor, after, visit, ctx);
    kv_cursor_close(&cursor);
    kv_abort(&txn);
    return err;
}

void host_keep_drop(struct host_keep *keep, enum host_kind kind, struct span name)
{
    struct writing *writing = writing_new(keep, 1);

    writing->rows[0].key = key_of_host(kind, name);
    writing->count = 1;
    writing_begin(writing);
}

/* ---- from start to end ---------------------------------------------------------------------- */

struct host_keep *host_keep_new(struct loop *loop, struct store *store, struct committer *committer)
{
    struct host_keep *keep = memory_new(sizeof(*keep));

    keep->loop = loop;
    keep->store = store;
    keep->committer = committer;
    arena_init(&keep->arena);
    keep->timer = loop_timer_new(loop, on_timer, keep);
    keep->written_ms = loop_now(loop) - BETWEEN_MS;
    committer_set_company(committer, on_company, keep);
    return keep;
}

void host_keep_free(struct host_keep **keep)
{
    if (!*keep)
        return;
    loop_timer_free(&(*keep)->timer);
    arena_clear(&(*keep)->arena);
    free(*keep);
    *keep = NULL;
}
