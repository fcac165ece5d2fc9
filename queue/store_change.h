/*
 * store_change - what operators do to recipients that wait: hold, release, retry, bounce, remove,
 * reroute.  Called by control_changes, which leases the rows meanwhile, so that no worker gets
 * them, and hands over a slice at a time.  Each is noted in the history with who did it and why.
 */
#ifndef WAXSEAL_QUEUE_STORE_CHANGE_H
#define WAXSEAL_QUEUE_STORE_CHANGE_H

#include "queue/committer.h"
#include "queue/removals.h"
#include "queue/store_history.h"
#include "queue/store_settle.h"

enum change_kind {
    CHANGE_HOLD,    /* is not tried until it is released */
    CHANGE_RELEASE, /* what was held, by an operator or as a suspect, is due now */
    CHANGE_RETRY,   /* is due now, and its hop rests no more; what is held stays so */
    CHANGE_BOUNCE,  /* ends as failed: its sender is told as of any failure */
    CHANGE_REMOVE,  /* ends: nobody is told */
    CHANGE_REROUTE, /* goes another way, now; or as the routes say again */
    CHANGE_KINDS,
};

const char *change_name(enum change_kind kind); /* "hold" */

enum { CHANGE_SLICE = 500 };

/* The caller embeds it, fills in the first part, and calls change_clear when all is done. */
struct change {
    struct operation operation;
    enum change_kind kind;
    struct history_act act;
    struct span hop;     /* REROUTE: the hop's name; empty: as the routes say */
    bool hop_has_domain; /* ... to which "/" and the recipient's domain are added */
    const struct notify_settings *notify;  /* BOUNCE */
    struct row_place places[CHANGE_SLICE]; /* in order */
    size_t count;
    /* what came of it */
    size_t changed;
    size_t suspended;       /* of these: made due at a hop where nothing is tried */
    struct settle *settles; /* of BOUNCE: one for each message, for the log */
    size_t settle_count;
    struct removals removals; /* of REMOVE, for the log */
};
/* For each slice anew, before it is added. */
void change_prepare(struct change *change);
void change_clear(struct change *change);

/* An operator suspends a hop, or resumes it (until_ms 0). */
struct suspend {
    struct operation operation;
    char hop[HOP_NAME_MAX + 1];
    int64_t until_ms; /* INT64_MAX: until it is resumed */
    struct span reason;
    uint32_t uid;
    bool was_suspended; /* what came of a resume */
};
void suspend_prepare(struct suspend *suspend);

#endif
