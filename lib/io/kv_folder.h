/*
 * kv_folder - the folder a store lives in: what file system it is on, who holds it, and that its
 * names are on disk.  Called by kv alone; knows nothing of the database in it.
 */
#ifndef WAXSEAL_IO_KV_FOLDER_H
#define WAXSEAL_IO_KV_FOLDER_H

#include "lib/base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* The folder's whole path, for people: a role works in its folder and calls it ".". */
enum { KV_FOLDER_NAME_SIZE = 4096 };
const char *kv_folder_name(const char *folder, char room[KV_FOLDER_NAME_SIZE]);

/* Refuses network file systems; warns in the log of those that forget everything. */
struct error *kv_folder_check(const char *folder) MUST_CHECK;

/*
 * Takes the lock of the folder, waiting up to `wait_ms` for whoever holds it.  It is held until the
 * descriptor is closed, at the latest when the process dies.
 */
struct error *kv_folder_lock(const char *folder, int64_t wait_ms, int *out_lock_fd) MUST_CHECK;

/*
 * Remembers, in the lock file, that a store was made here and synced; and says so.  It tells an
 * empty data file that was never filled from one that lost its content.
 */
struct error *kv_folder_mark_made(int lock_fd) MUST_CHECK;
bool kv_folder_was_made(int lock_fd);

/* True when `name` is in the folder and is no plain file: nothing LMDB could open. */
bool kv_folder_has_no_file(const char *folder, const char *name);

/* True when `name` in the folder is an empty file. */
bool kv_folder_file_is_empty(const char *folder, const char *name);

/* Gives `name` in the folder `bytes` of disk: a mapped file without them is a SIGBUS on a full
 * disk. */
struct error *kv_folder_allocate(const char *folder, const char *name, int64_t bytes) MUST_CHECK;

/* Syncs the folder and its parent, so that the names in them outlive a power cut. */
struct error *kv_folder_sync(const char *folder) MUST_CHECK;

/* Octets free for us on the file system around `fd`; 0 when nobody knows. */
uint64_t kv_folder_free(int fd);

/* True when the file system around `fd` has next to no room: then EIO means "full". */
bool kv_folder_is_full(int fd);

#endif
