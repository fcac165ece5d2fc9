/* policy_client - deliver's side of the policy role: which policy binds mail to this domain now? */
#ifndef WAXSEAL_IPC_POLICY_CLIENT_H
#define WAXSEAL_IPC_POLICY_CLIENT_H

#include "lib/base/span.h"
#include "lib/io/loop.h"
#include "lib/ipc/policy.pb-c.h"

struct policy_client;
struct policy_query;

struct policy_client *policy_client_new(struct loop *loop);
void policy_client_free(struct policy_client **client);
/* A channel to the role, new or restarted; questions under way are asked again.  Takes the
 * descriptor. */
void policy_client_attach(struct policy_client *client, int fd);

/*
 * `answer` is lent.  When the role does not answer within POLICY_CLIENT_WAIT_MS, the state is
 * POLICY_NOT_ASKED: never taken for "no policy", nor for POLICY_NOT_KNOWN.
 */
typedef void policy_done_fn(void *ctx, const Ipc__PolicyAnswer *answer);
enum { POLICY_CLIENT_WAIT_MS = 90 * 1000 };

/* `done` is called exactly once, from the loop, unless cancelled; then the query frees itself. */
struct policy_query *policy_ask(struct policy_client *client, struct span domain, bool fresh,
                                policy_done_fn *done, void *ctx);
void policy_cancel(struct policy_query **query);

#endif
