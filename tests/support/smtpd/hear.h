/* hear - what unit tests say and expect on the session rig, so that a wrong reply fails with both.
 */
#ifndef WAXSEAL_TESTS_HEAR_H
#define WAXSEAL_TESTS_HEAR_H

#include <string.h>

#include "tests/support/smtpd/session_rig.h"
#include "tests/support/test.h"

/* The next line begins so. */
static inline void hear(struct rig *rig, const char *start)
{
    const char *line = rig_hear(rig);

    if (!line || strncmp(line, start, strlen(start)) != 0)
        fail_msg("expected \"%s\", heard \"%s\"", start, line ? line : "nothing");
}

/* A client of 192.0.2.7 comes and says EHLO. */
static inline void greet(struct rig *rig)
{
    rig_open(rig, "192.0.2.7");
    hear(rig, "220 ");
    rig_say(rig, "EHLO client.test\r\n");
    do
        hear(rig, "250");
    while (rig->line[3] == '-');
}

#endif
