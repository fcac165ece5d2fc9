/*
 * kv - an ordered key-value store on disk; LMDB behind it, in its default sync mode (pitfalls.md
 * section 1).  One process opens a store, holding a lock on its folder.  A commit that returned
 * without error is on disk.
 */
#ifndef WAXSEAL_IO_KV_H
#define WAXSEAL_IO_KV_H

#include "lib/base/error.h"
#include "lib/base/span.h"

struct kv;
struct kv_txn;
typedef unsigned kv_table;

enum { KV_KEY_MAX = 511, KV_TABLES_MAX = 32 };

/* What kind of trouble a failed call was, since the queue must tell them apart. */
enum kv_trouble {
    KV_FINE,
    KV_FULL,    /* the map, or the disk (ENOSPC, or EIO with a full file system) */
    KV_BROKEN,  /* damage: MDB_CORRUPTED, MDB_PAGE_NOTFOUND, a wrong file, ... */
    KV_UNKNOWN, /* a commit whose outcome on disk is not known: the process must end and reopen */
};

/*
 * Opens or makes the store in `folder`, which exists, with a map of `map_bytes` (address space) and
 * the tables named, whose handles are their index.  Waits up to `wait_ms` for a predecessor's lock.
 * Refuses network file systems.  A store made anew is synced, with its folder and the parent,
 * before this returns.  Damage gives ERROR_LOCAL and *out_trouble KV_BROKEN; nothing is repaired.
 */
struct error *kv_open(const char *folder, uint64_t map_bytes, const char *const *tables,
                      unsigned table_count, int64_t wait_ms, struct kv **out_kv,
                      enum kv_trouble *out_trouble) MUST_CHECK;
void kv_close(struct kv **kv);

/* Keeps at least `bytes` of the file allocated ahead of what is used, so that a full disk leaves
 * room.  This and the next one: called by the writer's thread, outside of transactions. */
struct error *kv_reserve(struct kv *kv, uint64_t bytes) MUST_CHECK;
/* Writes some of what is allocated where the next commits will write, if the file grows slowly:
 * they are faster then.  May wait for the disk. */
void kv_write_ahead(struct kv *kv);

/* Octets free for us on its disk, the reserve aside; from any thread. */
uint64_t kv_free_disk(const struct kv *kv);

struct kv_stat {
    uint64_t used_bytes;     /* pages ever used, those free for reuse included */
    uint64_t free_bytes;     /* of these, free for reuse */
    uint64_t reserved_bytes; /* allocated by kv_reserve and not in use yet */
    uint64_t map_bytes;
    uint64_t file_bytes;
    uint64_t oldest_reader_lag; /* transactions that the oldest reader holds back */
};
void kv_stat(struct kv *kv, struct kv_stat *out);

/* A write transaction belongs to its thread; a read transaction may not outlive a turn. */
struct error *kv_begin_read(struct kv *kv, struct kv_txn **out_txn) MUST_CHECK;
struct error *kv_begin_write(struct kv *kv, struct kv_txn **out_txn) MUST_CHECK;
/* Takes *txn whatever comes. */
struct error *kv_commit(struct kv_txn **txn) MUST_CHECK;
/* Accepts NULL inside. */
void kv_abort(struct kv_txn **txn);

/* The trouble of the last call in this transaction (or of the commit, through the store). */
enum kv_trouble kv_txn_trouble(const struct kv_txn *txn);
enum kv_trouble kv_trouble(const struct kv *kv);

/*
 * Gives a lent value that lives until the transaction ends, in a write transaction until the next
 * write.  A key that is not there is no error: *out_value has data NULL.
 */
struct error *kv_get(struct kv_txn *txn, kv_table table, struct span key,
                     struct span *out_value) MUST_CHECK;
struct error *kv_put(struct kv_txn *txn, kv_table table, struct span key,
                     struct span value) MUST_CHECK;
/* Room for `len` bytes under the key, to be filled before the next call in this transaction. */
struct error *kv_put_room(struct kv_txn *txn, kv_table table, struct span key, size_t len,
                          char **out_room) MUST_CHECK;
/* Removing what is not there is no error. */
struct error *kv_remove(struct kv_txn *txn, kv_table table, struct span key) MUST_CHECK;

/* A walk in the order of keys.  A cursor ends before its transaction. */
struct kv_cursor;
struct error *kv_cursor_open(struct kv_txn *txn, kv_table table,
                             struct kv_cursor **out_cursor) MUST_CHECK;
void kv_cursor_close(struct kv_cursor **cursor);
/* The first entry at or behind `key`; at the end *out_key has data NULL. */
struct error *kv_cursor_seek(struct kv_cursor *cursor, struct span key, struct span *out_key,
                             struct span *out_value) MUST_CHECK;
struct error *kv_cursor_next(struct kv_cursor *cursor, struct span *out_key,
                             struct span *out_value) MUST_CHECK;
struct error *kv_cursor_last(struct kv_cursor *cursor, struct span *out_key,
                             struct span *out_value) MUST_CHECK;

/* Number of entries of a table. */
struct error *kv_count(struct kv_txn *txn, kv_table table, uint64_t *out_count) MUST_CHECK;

/* CRC-32C of bytes, in hardware where there is some; start with 0, pass the last result on. */
uint32_t kv_checksum(uint32_t sum, struct span bytes);

#endif
