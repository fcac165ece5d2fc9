/*
 * sts_export - the file that entries are written to one after the other, each behind its length and
 * CRC-32C, and read back from as far as it is whole.  Called by sts_cache.
 */
#ifndef WAXSEAL_POLICY_STS_EXPORT_H
#define WAXSEAL_POLICY_STS_EXPORT_H

#include "policy/sts_entry.h"

struct sts_export;

/* Begins FOLDER/NAME anew beside the one that is there. */
struct error *sts_export_open(const char *folder, const char *name,
                              struct sts_export **out_export) MUST_CHECK;
struct error *sts_export_add(struct sts_export *export, struct span record) MUST_CHECK;
/* Syncs it and puts it in the other's place.  Takes *export whatever comes. */
struct error *sts_export_finish(struct sts_export **export) MUST_CHECK;
/* Throws it away; accepts NULL inside. */
void sts_export_drop(struct sts_export **export);

/*
 * Gives each record of the file to `take`, until one fails.  A missing file is an empty one; what
 * is behind a damaged place is not read.
 */
typedef struct error *sts_export_fn(void *ctx, struct span record);
struct error *sts_export_read(const char *folder, const char *name, sts_export_fn *take,
                              void *ctx) MUST_CHECK;

#endif
