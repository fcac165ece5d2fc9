/*
 * ages - when the rows that wait at a next hop arrived, so that an operator sees how old its mail
 * is without a look at each row.  Counts by spans of minutes: fine for what has just arrived,
 * coarser the longer ago it was, never more spans than AGES_MAX.  Each row is counted in the one
 * span that covers the minute of its arrival, so it is found again when it goes, whatever spans
 * were merged meanwhile.  Called by store_hops, which keeps them in the hop's record, and by
 * store_read.  Pure: the time comes in as a fact.
 */
#ifndef WAXSEAL_QUEUE_AGES_H
#define WAXSEAL_QUEUE_AGES_H

#include "queue/records.pb-c.h"

enum { AGES_MAX = 48, AGES_COLUMNS = 10 };

struct ages {
    size_t count;
    uint32_t from[AGES_MAX];    /* minutes since 1970; ascending */
    uint32_t minutes[AGES_MAX]; /* at least 1; spans do not overlap */
    uint32_t rows[AGES_MAX];    /* at least 1 */
};

/* The columns' upper bounds in minutes, as qshape(1) has them; the last column has none. */
extern const unsigned ages_bounds[AGES_COLUMNS - 1];

/* A row that arrived at 0 has an arrival that is not known, and is not counted. */
void ages_add(struct ages *ages, int64_t arrived_utc_ms, int64_t now_utc_ms);
void ages_remove(struct ages *ages, int64_t arrived_utc_ms);

/*
 * Rows by age: those under 5 minutes, under 10, 20, ... 1280, and older.  A span that lies across a
 * bound counts where its middle lies.
 */
void ages_by_column(const struct ages *ages, int64_t now_utc_ms, uint64_t out[AGES_COLUMNS]);
/* All that are counted. */
uint64_t ages_rows(const struct ages *ages);

/* From a hop's record; what is no sound set of spans is taken for none. */
void ages_load(struct ages *ages, const Queue__HopRecord *hop);
/* Into it: the record points into `ages` from now on. */
void ages_store(struct ages *ages, Queue__HopRecord *hop);

#endif
