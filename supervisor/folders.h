/* folders - the state directory with a folder for each store, and the run directory. */
#ifndef WAXSEAL_SUPERVISOR_FOLDERS_H
#define WAXSEAL_SUPERVISOR_FOLDERS_H

#include "lib/base/settings.h"
#include "supervisor/sandbox.h"

/*
 * Makes those that are missing, makes sure that the roles can write where they have to, and locks
 * the state directory against another relay for as long as *out_state_dir is open.
 */
struct error *folders_prepare(const struct settings *s, const struct sandbox_user *user,
                              int *out_state_dir) MUST_CHECK;

/* Opens those of the folders in the state directory that are for others, too, or closes them. */
struct error *folders_set_modes(const struct settings *s,
                                const struct sandbox_user *user) MUST_CHECK;

#endif
