/*
 * places - what the sessions of each listener share, whichever of its addresses they came in by:
 * its settings, and its TLS context, made of the files that the supervisor hands over and made anew
 * when they change.  Called by smtpd/smtpd.
 */
#ifndef WAXSEAL_SMTPD_PLACES_H
#define WAXSEAL_SMTPD_PLACES_H

#include "lib/ipc/role.h"
#include "smtpd/session.h"

struct places;

struct places *places_new(struct role *role);
void places_free(struct places **places);

/* Where those come in who connect to a socket; NULL: the settings have no such. */
const struct session_place *places_find(const struct places *places, unsigned socket);

/* A file's content has changed: it is put in force in a moment, with what belongs to it. */
void places_content(struct places *places, enum role_content kind, unsigned index);

#endif
