#include "lib/io/kv.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/io/kv_folder.h"

enum {
    READERS_MAX = 126,                  /* LMDB's default */
    LOCK_FILE_BYTES = 16 * 1024,        /* more than lock.mdb takes with that many readers */
    READER_CHECK_MS = MINUTE_MS,        /* pitfalls.md section 1, "Readers" */
    RESERVE_STEPS = 4,                  /* the reserve is topped up by a quarter at a time */
    ZEROS_BYTES = 512 * 1024,           /* so much of it is written at a time, */
    ZEROS_LEFT_BYTES = ZEROS_BYTES / 4, /* when no more than this is left of it */
};

struct kv {
    MDB_env *env;
    int lock_fd;
    int data_fd; /* LMDB's */
    MDB_dbi tables[KV_TABLES_MAX];
    unsigned table_count;
    atomic_int trouble;      /* of the last commit or begin */
    int64_t readers_checked; /* monotonic ms; the writer's */
    uint64_t allocated;      /* the file has its blocks up to here, */
    uint64_t zeroed;         /* and up to here they hold zeros if they are not in use */
    uint64_t used_before;    /* when it was last looked at */
    uint64_t txn_at_open;    /* the last one then */
    unsigned page_bytes;
};

struct kv_txn {
    struct kv *kv;
    MDB_txn *txn;
    enum kv_trouble trouble;
    bool writes;
};

struct kv_cursor {
    struct kv_txn *txn;
    MDB_cursor *cursor;
};

/* ---- what went wrong ---------------------------------------------------------------------- */

static enum kv_trouble trouble_of(const struct kv *kv, int code)
{
    switch (code) {
    case MDB_SUCCESS:
        return KV_FINE;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
        return KV_FULL;
    case EIO: /* a short write on a full disk comes as EIO too */
        return kv_folder_is_full(kv->data_fd) ? KV_FULL : KV_BROKEN;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_CURSOR_FULL:
    case MDB_PAGE_FULL:
        return KV_BROKEN;
    default: /* MDB_PANIC, and what has nothing to do with the file: a new process may do better */
        return KV_UNKNOWN;
    }
}

static struct error *failed(const char *doing, int code)
{
    return error_new(ERROR_LOCAL, "database: %s: %s", doing, mdb_strerror(code));
}

/* A transaction keeps its first trouble: what follows a poisoned one says nothing new. */
static struct error *txn_failed(struct kv_txn *txn, const char *doing, int code)
{
    if (txn->trouble == KV_FINE)
        txn->trouble = trouble_of(txn->kv, code);
    return failed(doing, code);
}

enum kv_trouble kv_txn_trouble(const struct kv_txn *txn)
{
    return txn->trouble;
}

enum kv_trouble kv_trouble(const struct kv *kv)
{
    return (enum kv_trouble)atomic_load(&kv->trouble);
}

/* ---- opening ------------------------------------------------------------------------------ */

static struct error *open_environment(struct kv *kv, const char *folder, uint64_t map_bytes)
{
    int code = mdb_env_create(&kv->env);
    if (!code)
        code = mdb_env_set_mapsize(kv->env, map_bytes);
    if (!code)
        code = mdb_env_set_maxdbs(kv->env, KV_TABLES_MAX);
    if (!code)
        code = mdb_env_set_maxreaders(kv->env, READERS_MAX);
    if (!code)
        code = mdb_env_open(kv->env, folder, MDB_NOTLS, 0600);
    if (!code)
        code = mdb_env_get_fd(kv->env, &kv->data_fd);
    if (code) {
        atomic_store(&kv->trouble, (int)trouble_of(kv, code));
        return failed("open", code);
    }
    /* The one descriptor of LMDB's that is not close-on-exec. */
    if (fcntl(kv->data_fd, F_SETFD, FD_CLOEXEC))
        return error_errno(ERROR_LOCAL, errno, "database: set close-on-exec");
    return NULL;
}

/* A file cut short would be SIGBUS at the first page that is missing. */
static struct error *check_length(struct kv *kv)
{
    MDB_envinfo info;
    MDB_stat stat_of_main;
    struct stat st;
    mdb_env_info(kv->env, &info);
    mdb_env_stat(kv->env, &stat_of_main);
    kv->page_bytes = stat_of_main.ms_psize;
    kv->txn_at_open = info.me_last_txnid;
    if (fstat(kv->data_fd, &st))
        return error_errno(ERROR_LOCAL, errno, "database: stat");
    uint64_t needed = ((uint64_t)info.me_last_pgno + 1) * kv->page_bytes;
    if (info.me_last_txnid == 0 || (uint64_t)st.st_size >= needed)
        return NULL;
    atomic_store(&kv->trouble, KV_BROKEN);
    return error_new(ERROR_LOCAL, "database: the file has %lld bytes and should have %llu",
                     (long long)st.st_size, (unsigned long long)needed);
}

static int open_each_table(struct kv *kv, MDB_txn *txn, const char *const *tables)
{
    for (unsigned i = 0; i < kv->table_count; i++) {
        int code = mdb_dbi_open(txn, tables[i], MDB_CREATE, &kv->tables[i]);
        if (code)
            return code;
    }
    return 0;
}

static struct error *open_tables(struct kv *kv, const char *const *tables)
{
    MDB_txn *txn = NULL;
    int code = mdb_txn_begin(kv->env, NULL, 0, &txn);
    if (!code) {
        code = open_each_table(kv, txn, tables);
        if (code)
            mdb_txn_abort(txn);
        else
            code = mdb_txn_commit(txn);
    }
    if (!code)
        return NULL;
    atomic_store(&kv->trouble, (int)trouble_of(kv, code));
    return failed("open tables", code);
}

/* LMDB syncs neither the new file's name nor its length: pitfalls.md section 1. */
static struct error *sync_names(struct kv *kv, const char *folder)
{
    if (fsync(kv->data_fd))
        return error_errno(ERROR_LOCAL, errno, "sync the database");
    struct error *err = kv_folder_sync(folder);
    return err ? err : kv_folder_mark_made(kv->lock_fd);
}

static struct error *open_locked(struct kv *kv, const char *folder, uint64_t map_bytes,
                                 const char *const *tables)
{
    struct error *err;
    int dead;
    if (kv_folder_has_no_file(folder, "data.mdb")) {
        atomic_store(&kv->trouble, KV_BROKEN);
        return error_new(ERROR_LOCAL, "database: data.mdb is no file");
    }
    if (kv_folder_was_made(kv->lock_fd) && kv_folder_file_is_empty(folder, "data.mdb")) {
        atomic_store(&kv->trouble, KV_BROKEN);
        return error_new(ERROR_LOCAL, "database: the file has lost its content");
    }
    /* Before LMDB opens it: afterwards closing it would drop LMDB's locks. */
    err = kv_folder_allocate(folder, "lock.mdb", LOCK_FILE_BYTES);
    if (err)
        return err;
    err = open_environment(kv, folder, map_bytes);
    if (err)
        return err;
    err = check_length(kv);
    if (err)
        return err;
    mdb_reader_check(kv->env, &dead);
    err = open_tables(kv, tables);
    return err ? err : sync_names(kv, folder);
}

struct error *kv_open(const char *folder, uint64_t map_bytes, const char *const *tables,
                      unsigned table_count, int64_t wait_ms, struct kv **out_kv,
                      enum kv_trouble *out_trouble)
{
    ensure(table_count <= KV_TABLES_MAX);
    struct kv *kv = memory_new(sizeof(*kv));
    kv->lock_fd = -1;
    kv->data_fd = -1;
    kv->table_count = table_count;
    struct error *err = kv_folder_check(folder);
    if (!err)
        err = kv_folder_lock(folder, wait_ms, &kv->lock_fd);
    if (!err)
        err = open_locked(kv, folder, map_bytes, tables);
    *out_trouble = kv_trouble(kv);
    if (err) {
        char room[KV_FOLDER_NAME_SIZE];
        kv_close(&kv);
        return error_wrap(err, "store %s", kv_folder_name(folder, room));
    }
    *out_kv = kv;
    return NULL;
}

void kv_close(struct kv **kv)
{
    struct kv *k = *kv;
    *kv = NULL;
    if (!k)
        return;
    if (k->env)
        mdb_env_close(k->env);
    if (k->lock_fd >= 0)
        close(k->lock_fd);
    free(k);
}

/* ---- space -------------------------------------------------------------------------------- */

static uint64_t used_bytes(const struct kv *kv)
{
    MDB_envinfo info;
    mdb_env_info(kv->env, &info);
    return ((uint64_t)info.me_last_pgno + 1) * kv->page_bytes;
}

static bool put_zeros(const struct kv *kv, uint64_t at)
{
    static const char zeros[16 * 1024];
    struct iovec pieces[ZEROS_BYTES / sizeof(zeros)];
    int count = sizeof(pieces) / sizeof(pieces[0]);

    for (int i = 0; i < count; i++)
        pieces[i] = (struct iovec){ (void *)(uintptr_t)zeros, sizeof(zeros) };
    return pwritev(kv->data_fd, pieces, count, (off_t)at) == ZEROS_BYTES;
}

/*
 * Behind `used` stands nothing that counts: but a commit that failed may have said otherwise on
 * disk.  After that the store takes no other, and one that succeeds in a later process settles it.
 */
static bool is_settled(const struct kv *kv)
{
    MDB_envinfo info;
    mdb_env_info(kv->env, &info);
    return kv_trouble(kv) == KV_FINE && info.me_last_txnid > kv->txn_at_open;
}

static void zero_behind(struct kv *kv, uint64_t used)
{
    uint64_t from = kv->zeroed > used ? kv->zeroed : used;

    if (from + ZEROS_BYTES <= kv->allocated && put_zeros(kv, from)) /* else a commit meets it */
        kv->zeroed = from + ZEROS_BYTES;
}

/*
 * Blocks that were allocated and never written cost the sync of the commit that writes them first a
 * change of the file system's own records, and a wait for it.  A file that grows slowly finds zeros
 * already written; one that grows fast would only be written twice.  The transaction keeps out
 * whoever else might write, though there should be nobody: his pages would begin there, too.
 */
void kv_write_ahead(struct kv *kv)
{
    MDB_txn *txn = NULL;
    uint64_t used = used_bytes(kv);
    bool grows_slowly = used - kv->used_before <= ZEROS_LEFT_BYTES;

    kv->used_before = used;
    if (!grows_slowly || kv->zeroed > used + ZEROS_LEFT_BYTES || !is_settled(kv) ||
        mdb_txn_begin(kv->env, NULL, 0, &txn))
        return;
    zero_behind(kv, used_bytes(kv));
    mdb_txn_abort(txn);
}

struct error *kv_reserve(struct kv *kv, uint64_t bytes)
{
    uint64_t used = used_bytes(kv);
    if (kv->allocated >= used + bytes)
        return NULL;
    /* fallocate(2), not posix_fallocate(3): where the file system cannot, that writes zeros. */
    uint64_t want = bytes + bytes / RESERVE_STEPS;
    if (fallocate(kv->data_fd, 0, (off_t)used, (off_t)want))
        return error_errno(ERROR_LOCAL, errno, "reserve %llu MiB for the database",
                           (unsigned long long)(want >> 20));
    kv->allocated = used + want;
    return NULL;
}

/* Pages freed and not yet used again, as the free-list's records count them. */
static uint64_t free_pages(struct kv *kv)
{
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val data;
    uint64_t sum = 0;
    if (mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn))
        return 0;
    if (mdb_cursor_open(txn, 0, &cursor) == 0) {
        while (mdb_cursor_get(cursor, &key, &data, MDB_NEXT) == 0) {
            size_t count = 0;
            if (data.mv_size >= sizeof(count))
                memcpy(&count, data.mv_data, sizeof(count));
            sum += count;
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return sum;
}

/* LMDB tells its readers as text only: "pid thread transaction". */
static int on_reader_line(const char *line, void *ctx)
{
    unsigned long long *oldest = ctx;
    unsigned long long id;
    if (sscanf(line, "%*d %*s %llu", &id) == 1 && id < *oldest)
        *oldest = id;
    return 0;
}

uint64_t kv_free_disk(const struct kv *kv)
{
    return kv_folder_free(kv->data_fd);
}

void kv_stat(struct kv *kv, struct kv_stat *out)
{
    MDB_envinfo info;
    struct stat st;
    unsigned long long oldest;
    mdb_env_info(kv->env, &info);
    oldest = info.me_last_txnid;
    mdb_reader_list(kv->env, on_reader_line, &oldest);
    out->used_bytes = used_bytes(kv);
    out->free_bytes = free_pages(kv) * kv->page_bytes;
    out->reserved_bytes = kv->allocated > out->used_bytes ? kv->allocated - out->used_bytes : 0;
    out->map_bytes = info.me_mapsize;
    out->file_bytes = fstat(kv->data_fd, &st) ? 0 : (uint64_t)st.st_size;
    out->oldest_reader_lag = info.me_last_txnid - oldest;
}

/* ---- transactions ------------------------------------------------------------------------- */

static struct error *begin(struct kv *kv, bool writes, struct kv_txn **out_txn)
{
    MDB_txn *mdb = NULL;
    unsigned flags = writes ? 0 : MDB_RDONLY;
    int dead;
    int code = mdb_txn_begin(kv->env, NULL, flags, &mdb);
    if (code == MDB_READERS_FULL && mdb_reader_check(kv->env, &dead) == 0)
        code = mdb_txn_begin(kv->env, NULL, flags, &mdb);
    if (code) {
        atomic_store(&kv->trouble, (int)trouble_of(kv, code));
        return failed("begin", code);
    }
    struct kv_txn *txn = memory_new(sizeof(*txn));
    txn->kv = kv;
    txn->txn = mdb;
    txn->writes = writes;
    *out_txn = txn;
    return NULL;
}

struct error *kv_begin_read(struct kv *kv, struct kv_txn **out_txn)
{
    return begin(kv, false, out_txn);
}

/* Readers that died keep their pages pinned until somebody looks. */
static void check_readers(struct kv *kv)
{
    int dead;
    int64_t now = clock_monotonic_ms();
    if (now - kv->readers_checked < READER_CHECK_MS)
        return;
    kv->readers_checked = now;
    mdb_reader_check(kv->env, &dead);
}

struct error *kv_begin_write(struct kv *kv, struct kv_txn **out_txn)
{
    check_readers(kv);
    return begin(kv, true, out_txn);
}

/*
 * A commit that failed for want of room left nothing behind, unless LMDB refuses all further work:
 * then its last write, of the meta page, failed, and whether it is on disk nobody knows.
 */
static enum kv_trouble commit_trouble(const struct kv *kv, int code)
{
    MDB_txn *probe = NULL;
    if (code && mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &probe) == MDB_PANIC)
        return KV_UNKNOWN;
    mdb_txn_abort(probe);
    enum kv_trouble trouble = trouble_of(kv, code);
    return trouble == KV_BROKEN ? KV_UNKNOWN : trouble;
}

struct error *kv_commit(struct kv_txn **txn)
{
    struct kv_txn *t = *txn;
    *txn = NULL;
    struct kv *kv = t->kv;
    enum kv_trouble before = t->trouble;
    int code = mdb_txn_commit(t->txn);
    free(t);
    /* A poisoned transaction never reached the disk: what poisoned it is the trouble. */
    enum kv_trouble trouble =
        code == MDB_BAD_TXN && before != KV_FINE ? before : commit_trouble(kv, code);
    atomic_store(&kv->trouble, (int)trouble);
    return code ? failed("commit", code) : NULL;
}

void kv_abort(struct kv_txn **txn)
{
    struct kv_txn *t = *txn;
    *txn = NULL;
    if (!t)
        return;
    mdb_txn_abort(t->txn);
    free(t);
}

/* ---- entries ------------------------------------------------------------------------------ */

static MDB_val val_of(struct span s)
{
    union {
        const char *lent;
        void *given;
    } data = { .lent = s.data };
    return (MDB_val){ .mv_size = s.len, .mv_data = data.given };
}

static MDB_val key_of(struct span key)
{
    ensure(key.len > 0 && key.len <= KV_KEY_MAX);
    return val_of(key);
}

static struct span span_of_val(const MDB_val *val)
{
    /* An empty value is there all the same: its data is not NULL. */
    return (struct span){ val->mv_size ? val->mv_data : "", val->mv_size };
}

static MDB_dbi dbi_of(const struct kv_txn *txn, kv_table table)
{
    ensure(table < txn->kv->table_count);
    return txn->kv->tables[table];
}

struct error *kv_get(struct kv_txn *txn, kv_table table, struct span key, struct span *out_value)
{
    MDB_val k = key_of(key);
    MDB_val value;
    int code = mdb_get(txn->txn, dbi_of(txn, table), &k, &value);
    if (code && code != MDB_NOTFOUND)
        return txn_failed(txn, "get", code);
    *out_value = code ? (struct span){ NULL, 0 } : span_of_val(&value);
    return NULL;
}

struct error *kv_put(struct kv_txn *txn, kv_table table, struct span key, struct span value)
{
    MDB_val k = key_of(key);
    MDB_val v = val_of(value);
    int code = mdb_put(txn->txn, dbi_of(txn, table), &k, &v, 0);
    return code ? txn_failed(txn, "put", code) : NULL;
}

struct error *kv_put_room(struct kv_txn *txn, kv_table table, struct span key, size_t len,
                          char **out_room)
{
    MDB_val k = key_of(key);
    MDB_val v = { .mv_size = len };
    int code = mdb_put(txn->txn, dbi_of(txn, table), &k, &v, MDB_RESERVE);
    if (code)
        return txn_failed(txn, "put", code);
    *out_room = v.mv_data;
    return NULL;
}

struct error *kv_remove(struct kv_txn *txn, kv_table table, struct span key)
{
    MDB_val k = key_of(key);
    int code = mdb_del(txn->txn, dbi_of(txn, table), &k, NULL);
    return code && code != MDB_NOTFOUND ? txn_failed(txn, "remove", code) : NULL;
}

struct error *kv_count(struct kv_txn *txn, kv_table table, uint64_t *out_count)
{
    MDB_stat stat_of_table;
    int code = mdb_stat(txn->txn, dbi_of(txn, table), &stat_of_table);
    if (code)
        return txn_failed(txn, "count", code);
    *out_count = stat_of_table.ms_entries;
    return NULL;
}

/* ---- cursors ------------------------------------------------------------------------------ */

struct error *kv_cursor_open(struct kv_txn *txn, kv_table table, struct kv_cursor **out_cursor)
{
    MDB_cursor *mdb;
    int code = mdb_cursor_open(txn->txn, dbi_of(txn, table), &mdb);
    if (code)
        return txn_failed(txn, "open a cursor", code);
    struct kv_cursor *cursor = memory_new(sizeof(*cursor));
    cursor->txn = txn;
    cursor->cursor = mdb;
    *out_cursor = cursor;
    return NULL;
}

void kv_cursor_close(struct kv_cursor **cursor)
{
    struct kv_cursor *c = *cursor;
    *cursor = NULL;
    if (!c)
        return;
    mdb_cursor_close(c->cursor);
    free(c);
}

static struct error *cursor_step(struct kv_cursor *cursor, MDB_cursor_op op, MDB_val key,
                                 struct span *out_key, struct span *out_value)
{
    MDB_val value;
    int code = mdb_cursor_get(cursor->cursor, &key, &value, op);
    if (code && code != MDB_NOTFOUND)
        return txn_failed(cursor->txn, "walk", code);
    *out_key = code ? (struct span){ NULL, 0 } : span_of_val(&key);
    *out_value = code ? (struct span){ NULL, 0 } : span_of_val(&value);
    return NULL;
}

struct error *kv_cursor_seek(struct kv_cursor *cursor, struct span key, struct span *out_key,
                             struct span *out_value)
{
    if (key.len == 0)
        return cursor_step(cursor, MDB_FIRST, (MDB_val){ 0 }, out_key, out_value);
    return cursor_step(cursor, MDB_SET_RANGE, key_of(key), out_key, out_value);
}

struct error *kv_cursor_next(struct kv_cursor *cursor, struct span *out_key, struct span *out_value)
{
    return cursor_step(cursor, MDB_NEXT, (MDB_val){ 0 }, out_key, out_value);
}

struct error *kv_cursor_last(struct kv_cursor *cursor, struct span *out_key, struct span *out_value)
{
    return cursor_step(cursor, MDB_LAST, (MDB_val){ 0 }, out_key, out_value);
}
