/*
 * tools - what the command line does with a queue whose relay is stopped: export, import, salvage.
 * Called by the supervisor's command line; the lock on the queue's folder keeps a running relay
 * out.
 */
#ifndef WAXSEAL_QUEUE_TOOLS_H
#define WAXSEAL_QUEUE_TOOLS_H

#include "lib/base/error.h"
#include "lib/base/settings.h"

struct transfer_ids;

struct queue_report {
    uint64_t messages; /* exported, imported or salvaged */
    uint64_t damaged;  /* of which not all could be read; each was told by `say` */
    bool is_stale;     /* salvage: the database's structure is damaged, so some of it may be old */
    /* A sentence about one message, for people; or NULL. */
    void (*say)(void *ctx, const char *sentence);
    void *ctx;
};

/* For import and salvage: counts a message that was put, and tells its id if that changed.  `path`
 * is the file in which it came, for one that does not say which id it had. */
void queue_report_message(struct queue_report *report, const char *path,
                          const struct transfer_ids *ids);

/* Writes each message of the queue in `folder` to a file in `into`, which is made if need be. */
struct error *queue_export(const struct settings *settings, const char *folder, const char *into,
                           struct queue_report *report) MUST_CHECK;

/*
 * Takes in the files that queue_export wrote to `from`; each is renamed to end in ".imported" when
 * its message is in the queue in `folder`, so that a second run takes none twice.
 */
struct error *queue_import(const struct settings *settings, const char *folder, const char *from,
                           struct queue_report *report) MUST_CHECK;

/*
 * Takes all messages that can be read whole from the damaged queue in `damaged` into the one in
 * `folder`.  The damaged one is not changed.
 */
struct error *queue_salvage(const struct settings *settings, const char *folder,
                            const char *damaged, struct queue_report *report) MUST_CHECK;

#endif
