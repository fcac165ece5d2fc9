/*
 * client - the command line's side of the control socket: asks a running relay one thing and waits
 * for the whole answer.
 */
#ifndef WAXSEAL_SUPERVISOR_CLIENT_H
#define WAXSEAL_SUPERVISOR_CLIENT_H

#include "lib/base/error.h"
#include "lib/base/span.h"

struct client_argument {
    const char *name;
    const char *value; /* NULL: left out */
};

/*
 * Asks the relay whose run directory this is.  `on_piece` is called for each piece of the answer.
 * Fails when no relay can be asked, when it says nothing for so long, and with the relay's own
 * words when it refuses.
 */
enum { CLIENT_WAIT_MS = 120 * 1000 }; /* a policy refresh may take a minute */
typedef void client_piece_fn(void *ctx, struct span piece);
struct error *client_ask(const char *run_dir, const char *verb,
                         const struct client_argument *arguments, size_t argument_count,
                         int64_t wait_ms, client_piece_fn *on_piece, void *ctx) MUST_CHECK;

#endif
