/*
 * host_list - what is known of hosts and next hops, as rows for the operator: those with
 * connections or asks now, and those of which something was learned, on disk included.  Called by
 * control_lists.
 */
#ifndef WAXSEAL_QUEUE_HOST_LIST_H
#define WAXSEAL_QUEUE_HOST_LIST_H

#include "lib/base/json.h"
#include "queue/hosts.h"

enum { HOST_PLACE_SIZE = 1 + HOP_NAME_MAX + 1 };

/* "mmx1.example.net": behind which row a page begins; the empty one is the beginning. */
bool host_list_is_place(struct span text);

/* Appends up to `most` rows from a place on, in the order of kind and name, and moves it. */
struct error *host_list_read(struct hosts *hosts, char place[HOST_PLACE_SIZE], size_t most,
                             struct json *array, bool *out_more) MUST_CHECK;
/* Appends those of that name. */
void host_list_read_one(struct hosts *hosts, struct span name, struct json *array);

#endif
