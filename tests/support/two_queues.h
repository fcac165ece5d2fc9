/*
 * two_queues - one queue with mail in it and an empty one to which it is moved, by export and
 * import or by salvage.  What tests of that begin and end with.
 */
#ifndef WAXSEAL_TESTS_SUPPORT_TWO_QUEUES_H
#define WAXSEAL_TESTS_SUPPORT_TWO_QUEUES_H

#include "tests/support/store_rig.h"

#include "queue/tools.h"

enum { LARGE = 100 * CHUNK_BYTES + 77, MESSAGES = 60 };

extern struct store_rig
    first; /* the queue with mail in it: MESSAGES small ones to example.net ... */
extern struct store_rig other; /* where the mail goes */
extern char folder[64];        /* of exported files */
extern char large[LARGE];      /* ... and the content of a last one, to example.com */
extern uint64_t large_id;
extern struct queue_report report;

/* cmocka's set-up and tear-down. */
int open_rigs(void **state);
int close_rigs(void **state);

/* The tools want the queues closed, as the relay is stopped. */
void close_stores(void);
void must(struct error *err);

/* Without any damage to tell of. */
void move_by_export(void);
void move_by_salvage(void);
uint64_t last_id(struct store_rig *of);
/* Opens the other queue; all of the mail is in it, due. */
void assert_all_arrived(void);

/* The file of the first queue. */
int open_data(void);
/* Spoils every branch page of it. */
void lose_tree(void);

#endif
