/*
 * deaths - how a process ended, in words, and whether its post has seen too many deaths of late.
 * Called by posts.  Pure: time comes in.
 */
#ifndef WAXSEAL_SUPERVISOR_DEATHS_H
#define WAXSEAL_SUPERVISOR_DEATHS_H

#include <stdbool.h>
#include <stdint.h>

enum { DEATHS_ALARM = 5, DEATHS_TEXT_SIZE = 40 };

struct deaths {                     /* all zero to begin with */
    int64_t times_ms[DEATHS_ALARM]; /* the latest ones, as a ring */
    unsigned count;
};

/* True at the fifth death within a minute, on which the counting begins anew. */
bool deaths_add(struct deaths *deaths, int64_t now_ms);

/* What `waxseal status` shows for a wait(2) status. */
void death_describe(int wait_status, char text[DEATHS_TEXT_SIZE]);

#endif
