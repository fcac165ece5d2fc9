/*
 * watched - a file whose content roles are handed: read at start, looked at from time to time, and
 * read again when it changed.  A new content waits until it is accepted, for a role that starts
 * meanwhile must get what is good.
 */
#ifndef WAXSEAL_SUPERVISOR_WATCHED_H
#define WAXSEAL_SUPERVISOR_WATCHED_H

#include "lib/base/error.h"
#include "lib/base/span.h"
#include "lib/ipc/role.h"

struct watched;

/* Reads and checks the file.  Only resolv.conf and aliases may be missing.  Keys,
 * users and credentials must not be for all to read.
 */
struct error *watched_open(enum role_content kind, unsigned index, const char *path,
                           struct watched **out_file) MUST_CHECK;
void watched_free(struct watched **file);

enum role_content watched_kind(const struct watched *file);
unsigned watched_index(const struct watched *file);
const char *watched_path(const struct watched *file);

/* The content in force; lent until the next watched_accept. */
struct span watched_content(const struct watched *file);
/* The new content, or that in force when there is no new one; lent the same. */
struct span watched_latest(const struct watched *file);

/* Reads it again when it looks changed; true when there is a new content since the last look. */
bool watched_look(struct watched *file);
bool watched_is_new(const struct watched *file);
/* Is what was read last fit for use: certificates in a bundle, users, a certificate and its
 * key? */
struct error *watched_check(const struct watched *file) MUST_CHECK;
struct error *watched_pair_check(const struct watched *certificate,
                                 const struct watched *key) MUST_CHECK;
/* Puts the new content in force. */
void watched_accept(struct watched *file);

#endif
