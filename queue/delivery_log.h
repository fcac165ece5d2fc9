/* delivery_log - says in the log what became of recipients: one line each (docs/logging.md). */
#ifndef WAXSEAL_QUEUE_DELIVERY_LOG_H
#define WAXSEAL_QUEUE_DELIVERY_LOG_H

#include "queue/store_settle.h"

/* After the settlement was committed. */
void delivery_log(const struct settle *settle);

#endif
