/*
 * asking - what a command asks of a running relay, and how its answers are shown: as rows, as one
 * object, or as JSON for programs.  Called by commands and by the commands that have files of their
 * own.
 */
#ifndef WAXSEAL_SUPERVISOR_ASKING_H
#define WAXSEAL_SUPERVISOR_ASKING_H

#include "lib/base/json.h"
#include "lib/base/settings.h"
#include "supervisor/client.h"
#include "supervisor/commands.h"

/* A request: the verb, what the command line gave, and what the command adds. */
struct asking {
    const struct invocation *invocation;
    const char *run_dir;
    const char *verb;                   /* NULL: the command's words */
    const struct client_argument *more; /* or NULL */
    size_t more_count;
    int64_t wait_ms; /* for the next piece of the answer; 0: as long as any command waits */
};

/* The run directory that the configuration names; false: it says why there is none. */
bool asking_run_dir(const struct invocation *i, char run_dir[SETTINGS_PATH_SIZE]);

/* The pieces of an answer as they come. */
struct error *asking_pieces(const struct asking *asking, client_piece_fn *on_piece,
                            void *ctx) MUST_CHECK;
/* The whole answer. */
struct error *asking_json(const struct asking *asking, struct json **out) MUST_CHECK;

/* Shows a list page by page: as rows, or as one array for programs. */
struct error *asking_show_list(const struct asking *asking) MUST_CHECK;
/* The same of the first page only, of that many rows at most. */
struct error *asking_show_first(const struct asking *asking, const char *rows) MUST_CHECK;

/* Says what went wrong, writing the output included; gives the exit status. */
int asking_tell(struct error *err);

/* Most commands: asks, and shows the answer. */
int asking_run(const struct invocation *i);

#endif
