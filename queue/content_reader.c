#include "queue/content_reader.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"

enum {
    PAGES_MAX = 64, /* more than a chunk has */
    FRESH_MS = 10 * SECOND_MS,
};

/* Chunks to be read. */
struct pull {
    struct list others;
    uint64_t lease;
    uint64_t id;
    uint32_t chunk;
    uint32_t end;
    bool is_in_memory; /* just written, or touched by the helper: nobody need look */
};

struct content_reader {
    struct loop *loop;
    struct store *store;
    content_chunk_fn *on_chunk;
    void *ctx;
    struct map *cold;   /* leases with a pull at the helper */
    struct list behind; /* pulls of such leases that came later: they keep their order */
    struct loop_wake *wake;
    pthread_t thread;
    uintptr_t page_size;

    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list waiting; /* under the lock */
    struct list touched; /* under the lock */
    bool closing;        /* under the lock */
};

static struct error *find_chunk(struct kv_txn *txn, const struct pull *pull, struct span *out_value)
{
    struct record_key key = key_of_part(pull->id, pull->chunk);

    return kv_get(txn, TABLE_CONTENT, key_span(&key), out_value);
}

/* ---- in the helper thread ------------------------------------------------------------------- */

/* Reads one byte of each page; the value is used so that the reads are made. */
static void touch(const struct content_reader *r, struct span value)
{
    volatile char sum = 0;

    for (size_t at = 0; at < value.len; at += r->page_size)
        sum = (char)(sum ^ value.data[at]);
    if (value.len > 0)
        sum = (char)(sum ^ value.data[value.len - 1]);
}

static void touch_all(struct content_reader *r, const struct pull *wanted)
{
    struct kv_txn *txn = NULL;
    struct pull pull = *wanted;
    struct error *err = kv_begin_read(store_kv(r->store), &txn);

    for (; !err && pull.chunk < pull.end; pull.chunk++) {
        struct span value;
        err = find_chunk(txn, &pull, &value);
        if (!err && value.data)
            touch(r, value);
    }
    kv_abort(&txn);
    error_free(&err); /* the loop meets it again and says so */
}

static void *help(void *ctx)
{
    struct content_reader *r = ctx;

    pthread_mutex_lock(&r->lock);
    while (!r->closing) {
        if (list_empty(&r->waiting)) {
            pthread_cond_wait(&r->work, &r->lock);
            continue;
        }
        struct pull *pull = LIST_FIRST(&r->waiting, struct pull, others);
        list_remove(&pull->others);
        pthread_mutex_unlock(&r->lock);
        touch_all(r, pull);
        pthread_mutex_lock(&r->lock);
        list_append(&r->touched, &pull->others);
        loop_wake_post(r->wake);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- in the loop ---------------------------------------------------------------------------- */

static bool is_resident(const struct content_reader *r, struct span value)
{
    unsigned char resident[PAGES_MAX];
    union {
        const char *data;
        void *page;
        uintptr_t number;
    } at = { .data = value.data };
    uintptr_t offset = at.number % r->page_size;
    size_t pages = (offset + value.len + r->page_size - 1) / r->page_size;

    at.number -= offset;
    if (pages > PAGES_MAX || mincore(at.page, pages * r->page_size, resident))
        return true; /* not known: read it */
    for (size_t i = 0; i < pages; i++)
        if (!(resident[i] & 1))
            return false;
    return true;
}

static void give_chunk(struct content_reader *r, const struct pull *pull, struct span value)
{
    struct record_key key = key_of_part(pull->id, pull->chunk);
    struct span bytes = { NULL, 0 };

    if (value.data && !chunk_read(key_span(&key), value, &bytes))
        bytes.data = NULL;
    r->on_chunk(r->ctx, pull->lease, pull->chunk, bytes);
}

/* Gives what can be given; false: pull->chunk is not in memory. */
static struct error *give_warm(struct content_reader *r, struct pull *pull, bool *out_all)
{
    struct kv_txn *txn = NULL;
    struct error *err = kv_begin_read(store_kv(r->store), &txn);

    *out_all = false;
    for (; !err && pull->chunk < pull->end; pull->chunk++) {
        struct span value;
        err = find_chunk(txn, pull, &value);
        if (err)
            break;
        if (!pull->is_in_memory && value.data && !is_resident(r, value)) {
            kv_abort(&txn);
            return NULL;
        }
        give_chunk(r, pull, value);
    }
    kv_abort(&txn);
    *out_all = !err;
    return err;
}

static void say_failed(struct content_reader *r, struct pull *pull, struct error **err)
{
    log_failure(LOG_ERROR, "queue-read-failed", *err);
    error_free(err);
    for (; pull->chunk < pull->end; pull->chunk++)
        r->on_chunk(r->ctx, pull->lease, pull->chunk, (struct span){ NULL, 0 });
}

/* True when all of it was given. */
static bool give(struct content_reader *r, struct pull *pull)
{
    bool all;
    struct error *err = give_warm(r, pull, &all);

    if (!err)
        return all;
    say_failed(r, pull, &err);
    return true;
}

static void send_to_helper(struct content_reader *r, const struct pull *pull)
{
    struct pull *kept = memory_new(sizeof(*kept));

    *kept = *pull;
    list_init(&kept->others);
    map_put_number(r->cold, pull->lease, kept);
    pthread_mutex_lock(&r->lock);
    list_append(&r->waiting, &kept->others);
    pthread_mutex_unlock(&r->lock);
    pthread_cond_signal(&r->work);
}

static void give_behind(struct content_reader *r)
{
    struct pull *pull;

    LIST_EACH(pull, &r->behind, struct pull, others)
    {
        if (map_get_number(r->cold, pull->lease))
            continue;
        list_remove(&pull->others);
        if (!give(r, pull))
            send_to_helper(r, pull);
        free(pull);
    }
}

static void on_touched(void *ctx)
{
    struct content_reader *r = ctx;
    struct list touched;

    list_init(&touched);
    pthread_mutex_lock(&r->lock);
    list_splice(&touched, &r->touched);
    pthread_mutex_unlock(&r->lock);
    while (!list_empty(&touched)) {
        struct pull *pull = LIST_FIRST(&touched, struct pull, others);
        list_remove(&pull->others);
        map_remove_number(r->cold, pull->lease);
        pull->is_in_memory = true;
        give(r, pull);
        free(pull);
    }
    give_behind(r);
}

/* A time to come, of a clock that was put back, tells nothing. */
static bool is_fresh(int64_t accepted_utc_ms)
{
    int64_t now_ms = clock_utc_ms();

    return accepted_utc_ms <= now_ms && accepted_utc_ms > now_ms - FRESH_MS;
}

void content_reader_pull(struct content_reader *reader, const struct content_pull *wanted)
{
    struct pull pull = {
        .lease = wanted->lease,
        .id = wanted->id,
        .chunk = wanted->chunk,
        .end = wanted->chunk + wanted->count,
        .is_in_memory = is_fresh(wanted->accepted_utc_ms),
    };

    if (map_get_number(reader->cold, pull.lease)) {
        struct pull *later = memory_new(sizeof(*later));
        *later = pull;
        list_append(&reader->behind, &later->others);
    } else if (!give(reader, &pull)) {
        send_to_helper(reader, &pull);
    }
}

struct content_reader *content_reader_new(struct loop *loop, struct store *store,
                                          content_chunk_fn *on_chunk, void *ctx)
{
    struct content_reader *r = memory_new(sizeof(*r));

    r->loop = loop;
    r->store = store;
    r->on_chunk = on_chunk;
    r->ctx = ctx;
    r->cold = map_new();
    r->page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    list_init(&r->behind);
    list_init(&r->waiting);
    list_init(&r->touched);
    r->wake = loop_wake_new(loop, on_touched, r);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->work, NULL);
    ensure(pthread_create(&r->thread, NULL, help, r) == 0);
    return r;
}

static void free_pulls(struct list *pulls)
{
    while (!list_empty(pulls)) {
        struct pull *pull = LIST_FIRST(pulls, struct pull, others);
        list_remove(&pull->others);
        free(pull);
    }
}

void content_reader_free(struct content_reader **reader)
{
    struct content_reader *r = *reader;

    *reader = NULL;
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->closing = true;
    pthread_mutex_unlock(&r->lock);
    pthread_cond_signal(&r->work);
    pthread_join(r->thread, NULL);
    loop_wake_free(&r->wake);
    free_pulls(&r->behind);
    free_pulls(&r->waiting);
    free_pulls(&r->touched);
    map_free(&r->cold);
    pthread_cond_destroy(&r->work);
    pthread_mutex_destroy(&r->lock);
    free(r);
}
