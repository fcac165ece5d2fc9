/*
 * store_rig - a queue's store in a throwaway folder, and operations on it in the test's own thread.
 * Used by the tests of store, dispatch and tools.
 */
#ifndef WAXSEAL_TESTS_SUPPORT_STORE_RIG_H
#define WAXSEAL_TESTS_SUPPORT_STORE_RIG_H

#include "queue/store_accept.h"
#include "queue/store_change.h"
#include "queue/store_manage.h"
#include "queue/store_settle.h"

struct store_rig {
    char folder[64];
    struct settings settings;
    struct store *store;
    struct notify_settings notify;
    int priority; /* of the messages that are accepted from now on */
};

void store_rig_open(struct store_rig *rig);
void store_rig_close(struct store_rig *rig);
/* As after a restart. */
void store_rig_reopen(struct store_rig *rig);

/* Applies one operation; gives its outcome.  Operations live on the caller's stack. */
enum operation_outcome store_rig_commit(struct store_rig *rig, struct operation *operation);

/* Accepts a message; gives its id, 0 when it was refused. */
uint64_t store_rig_accept(struct store_rig *rig, const char *sender, const char *recipient,
                          struct span content);
/* Many messages of one sender to one recipient, in large transactions. */
void store_rig_accept_many(struct store_rig *rig, const char *sender, const char *recipient,
                           unsigned count);

/* What came of recipient `number`; the settle is to be cleared by the caller. */
struct settle store_rig_settle(struct store_rig *rig, uint64_t id, uint32_t number,
                               Ipc__ResultKind kind, const char *status, bool last_attempt);

/* What an operator (uid 7, "because") does to all that waits, or to one message; gives how many
 * recipients were changed. */
size_t store_rig_change(struct store_rig *rig, enum change_kind kind, uint64_t id);

/* Reads. */
uint64_t store_rig_count(struct store_rig *rig, enum queue_table table);
bool store_rig_recipient(struct store_rig *rig, uint64_t id, uint32_t number,
                         Queue__RecipientRecord **out); /* the caller frees it */
Queue__MessageRecord *store_rig_message(struct store_rig *rig,
                                        uint64_t id); /* the caller frees it */
/* The whole content, in memory of the caller's; data NULL when a chunk is missing or damaged. */
struct span store_rig_content(struct store_rig *rig, uint64_t id);

void remove_folder(const char *folder);

#endif
