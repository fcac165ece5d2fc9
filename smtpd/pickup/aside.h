/*
 * aside - where the things go that are no messages, and the log lines that name them.  Called by
 * pickup and works.  What cannot be moved (the directory of another user) is named once and never
 * looked at again by this process.
 */
#ifndef WAXSEAL_SMTPD_PICKUP_ASIDE_H
#define WAXSEAL_SMTPD_PICKUP_ASIDE_H

#include "lib/base/log.h"
#include "smtpd/pickup/folder.h"

struct aside {
    struct folder *folder;
    struct map *stuck; /* names */
};

void aside_init(struct aside *aside, struct folder *folder);
void aside_clear(struct aside *aside);

/* `uid` may be UINT32_MAX, for not known. */
void aside_put(struct aside *aside, const char *name, uint32_t uid, const char *why);
bool aside_is_stuck(const struct aside *aside, const char *name);

/* Which file of which user a log line is about. */
void aside_log_file(struct log_line *line, const char *name, uint32_t uid);

#endif
