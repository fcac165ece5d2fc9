/*
 * users - the users file: who may log in.  One line a user, NAME:HASH or NAME:HASH:KEYS, where HASH
 * is a crypt(5) hash and KEYS are those of SCRAM-SHA-256; empty lines and lines that begin with '#'
 * are comments.  Read by the supervisor (is it right?) and the auth role; written by `waxseal
 * user`. Pure: a text comes in, a text goes out.
 */
#ifndef WAXSEAL_SMTPD_AUTH_USERS_H
#define WAXSEAL_SMTPD_AUTH_USERS_H

#include "lib/base/settings.h"
#include "smtpd/auth/scram.h"

enum {
    USERS_MAX = 100000,
    USERS_TEXT_MAX = 8 * 1024 * 1024,
    USERS_NAME_MAX = SCRAM_USER_MAX,
};

struct user {
    char *name;
    char *hash;
    bool has_keys;
    struct scram_keys keys;
    unsigned line;
};

struct users;

/* Printable ASCII without blank and colon, and no '#' in front: it stands in log lines and fields.
 */
bool users_name_is_valid(struct span name);

/* Gives false, and all that is wrong with its line in `errors`, when anything is. */
bool users_parse(struct span text, const char *file, struct settings_errors *errors,
                 struct users **out_users);
void users_free(struct users **users);

size_t users_count(const struct users *users);
/* In the file's order. */
const struct user *users_at(const struct users *users, size_t index);
const struct user *users_find(const struct users *users, struct span name);
/* Has each user SCRAM keys (and is there one at all)? */
bool users_all_have_keys(const struct users *users);

/*
 * Writes the text anew with `line` (without its end) as that of the user: in the place of the old
 * one, or at the end; NULL takes the user out.  Gives false when it does not fit in `out`.
 */
bool users_rewrite(struct span text, struct span name, const char *line, struct buf *out);

#endif
