/*
 * kv_scan - reads what can be read of a store's file without LMDB, which trusts every page it meets
 * and would crash on a damaged one.  Called by the queue's salvage; changes nothing.  Values are
 * not judged: the caller has checksums over them.
 */
#ifndef WAXSEAL_IO_KV_SCAN_H
#define WAXSEAL_IO_KV_SCAN_H

#include "lib/base/error.h"
#include "lib/base/span.h"

/*
 * An entry, lent for the call.  `table` is its table's name, or NULL when the way to it is damaged:
 * then it may be an old version of an entry, or of one that was removed.  `offset` is where the
 * value stands in the file.
 */
typedef void kv_scan_fn(void *ctx, const char *table, struct span key, struct span value,
                        uint64_t offset);

/*
 * Gives every entry of the file `data.mdb` in `folder` that the newest tree leads to.  Where
 * something is damaged, *out_whole is false, and every entry of the pages not reached is given,
 * too.
 */
struct error *kv_scan(const char *folder, kv_scan_fn *on_entry, void *ctx,
                      bool *out_whole) MUST_CHECK;

#endif
