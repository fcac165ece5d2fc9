/* tlsrpt_client - tells the tlsrpt role what sessions came to; nobody waits for it. */
#ifndef WAXSEAL_IPC_TLSRPT_CLIENT_H
#define WAXSEAL_IPC_TLSRPT_CLIENT_H

#include "lib/io/loop.h"
#include "lib/ipc/tlsrpt.pb-c.h"

struct tlsrpt_client;

struct tlsrpt_client *tlsrpt_client_new(struct loop *loop);
void tlsrpt_client_free(struct tlsrpt_client **client);
/* A channel to the role, new or restarted; takes the descriptor. */
void tlsrpt_client_attach(struct tlsrpt_client *client, int fd);

/*
 * Tells of one session.  While the role is away up to TLSRPT_KEPT_MAX events wait for it; then they
 * are counted and dropped, for mail never waits for a report.
 */
enum { TLSRPT_KEPT_MAX = 1024 };
void tlsrpt_tell(struct tlsrpt_client *client, const Ipc__SessionEvent *event);

#endif
