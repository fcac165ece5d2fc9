/*
 * aliases - /etc/aliases as far as it names addresses: for the names of this host, who gets their
 * mail instead.  Parsed by the supervisor (for `check`) and by smtpd, which gets the file's content
 * handed over; expanded by smtpd/recipients.  Pure but for memory.
 * Pipes, files and includes are skipped and named: nothing is ever run or written to.
 */
#ifndef WAXSEAL_MAIL_ALIASES_H
#define WAXSEAL_MAIL_ALIASES_H

#include "lib/mail/address.h"

struct aliases;

/* Told of what is skipped: "a pipe (only addresses are taken)". */
typedef void aliases_skipped_fn(void *ctx, unsigned line, const char *what);

/*
 * Reads "name: address, name, ..." with continuation lines, comments and quotes; of two lines for a
 * name the first counts.  `skipped` may be NULL.
 */
struct aliases *aliases_parse(struct span text, aliases_skipped_fn *skipped, void *ctx);
void aliases_free(struct aliases **aliases);
size_t aliases_count(const struct aliases *aliases);

/* The domains whose names the file is about, beside "localhost"; bare names in it get `origin`. */
struct alias_home {
    struct span hostname;
    struct span origin;
};
bool alias_is_at_home(const struct alias_home *home, const struct address *path);

enum { ALIAS_TARGETS_MAX = 1000 }; /* of one expansion, those between included */

/*
 * Who gets the mail of a path: `each` hears of them, once each, aliases of aliases followed to
 * their end.  An alias that names itself means the mailbox of that name.  False, with nobody told:
 * no alias, or one that leads in a circle only, so that the path stays.  True, with nobody told:
 * there are more than ALIAS_TARGETS_MAX, and some alone would be too few.
 */
typedef void alias_target_fn(void *ctx, const struct address *target);
bool aliases_expand(const struct aliases *aliases, const struct alias_home *home,
                    const struct address *path, alias_target_fn *each, void *ctx);

#endif
