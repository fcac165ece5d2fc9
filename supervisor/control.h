/*
 * control - answers the operator's commands over a socket in the run directory: takes a request,
 * has the role it is for answer it, and passes the answer on.  Only root, the supervisor's own
 * user and the user of the roles are listened to.  Peers are hostile: nonsense ends their
 * connection and nothing else (pitfalls.md section 7.22).
 */
#ifndef WAXSEAL_SUPERVISOR_CONTROL_H
#define WAXSEAL_SUPERVISOR_CONTROL_H

#include "lib/base/json.h"
#include "lib/io/loop.h"
#include "lib/ipc/supervisor.pb-c.h"
#include "supervisor/process.h"

struct control;

struct control_events {
    /* The process that answers for a role; NULL: none is ready. */
    struct process *(*find)(void *ctx, enum role_id role);
    /* What `waxseal status` shows, to be freed by control: the one request we answer ourselves. */
    struct json *(*status)(void *ctx);
};

/* Listens in `run_dir`.  Fails when another supervisor does so already. */
struct error *control_open(struct loop *loop, const char *run_dir, const struct sandbox_user *user,
                           const struct control_events *events, void *ctx,
                           struct control **out_control) MUST_CHECK;
/* Ends all connections and removes the socket. */
void control_close(struct control **control);

/* A role's piece of an answer. */
void control_on_reply(struct control *control, struct process *process,
                      const Ipc__ControlReply *reply, struct span body);
/* A role became ready: requests that waited for it are put to it. */
void control_on_ready(struct control *control);
/* A process is gone: what it was asked is answered so.  Before process_free. */
void control_on_death(struct control *control, const struct process *process);

/*
 * The socket's address: through a descriptor of the run directory, for a path may be longer than
 * an address can hold.
 */
struct sockaddr_un;
void control_address(int run_dir, struct sockaddr_un *out_address);

#endif
