/* delivery_log - says in the log what became of recipients: one line each (docs/logging.md). */
#ifndef WAXSEAL_QUEUE_DELIVERY_LOG_H
#define WAXSEAL_QUEUE_DELIVERY_LOG_H

#include "queue/removals.h"
#include "queue/store_settle.h"

/* After the settlement was committed. */
void delivery_log(const struct settle *settle);
/* After a removal was; `why` as the operator gave it. */
void delivery_log_removals(const struct removals *removals, struct span why);

#endif
