/* folders - the state directory with a folder for each store, and the run directory. */
#ifndef WAXSEAL_SUPERVISOR_FOLDERS_H
#define WAXSEAL_SUPERVISOR_FOLDERS_H

#include "lib/base/settings.h"
#include "supervisor/sandbox.h"

/* Makes those that are missing, and makes sure that the roles can write where they have to. */
struct error *folders_prepare(const struct settings *s, const struct sandbox_user *user) MUST_CHECK;

#endif
