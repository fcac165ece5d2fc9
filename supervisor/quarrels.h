/*
 * quarrels - who has to end when one role's process says that another has broken their channel.
 * Called by posts.  Pure.  A captured role lies, so its word is worth little (design.md section 2):
 *   - of a role that is more exposed to what strangers send, one that is less is believed always;
 *   - any other word counts once in QUARREL_MS for each post, however often its process is
 * replaced; who has to say it again is taken to be the one that has gone wrong.
 */
#ifndef WAXSEAL_SUPERVISOR_QUARRELS_H
#define WAXSEAL_SUPERVISOR_QUARRELS_H

#include <stdbool.h>

enum { QUARREL_MS = 10 * 60 * 1000 };

struct quarrel {
    unsigned teller_exposure; /* of the role table */
    unsigned peer_exposure;
    bool teller_was_heard; /* its word ended another's process within QUARREL_MS */
};

struct quarrel_verdict {
    bool ends_peer;  /* else the teller */
    bool word_spent; /* teller_was_heard from now on */
};

struct quarrel_verdict quarrel_judge(const struct quarrel *q);

#endif
