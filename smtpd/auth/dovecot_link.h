/*
 * dovecot_link - the connection to Dovecot's auth server over its socket in the file system, and
 * the requests that are under way on it.  Called by smtpd/auth/exchange_dovecot.  Connects by
 * itself, again and again with growing waits.  Every request ends: with Dovecot's answer, or with
 * DOVECOT_TROUBLE when the connection is not there, breaks, or stays silent for DOVECOT_WAIT_MS.
 */
#ifndef WAXSEAL_SMTPD_AUTH_DOVECOT_LINK_H
#define WAXSEAL_SMTPD_AUTH_DOVECOT_LINK_H

#include "lib/io/loop.h"
#include "lib/ipc/auth_client.h"

enum {
    DOVECOT_HELLO_MS = 10 * 1000, /* until it has said what it offers */
    DOVECOT_WAIT_MS = 25 * 1000,  /* for an answer: less than smtpd waits for us */
    DOVECOT_RETRY_FIRST_MS = 100,
    DOVECOT_RETRY_MOST_MS = 5 * 1000,
    DOVECOT_OUTPUT_MAX = 256 * 1024, /* said and not taken: then it is away */
};

struct dovecot_link;
struct dovecot_request;

struct dovecot_link *dovecot_link_new(struct loop *loop, const char *path,
                                      void (*on_offer)(void *ctx), void *ctx);
/* No request may be under way. */
void dovecot_link_free(struct dovecot_link **link);
const char *dovecot_link_path(const struct dovecot_link *link);

/* What it offers, of what we know: a bit a mechanism.  PLAIN and LOGIN until it has said. */
unsigned dovecot_link_mechanisms(const struct dovecot_link *link);

enum dovecot_verdict {
    DOVECOT_CHALLENGE, /* what follows is dovecot_respond; after the others the request is over */
    DOVECOT_YES,
    DOVECOT_NO,
    DOVECOT_TROUBLE,
};

struct dovecot_answer {
    enum dovecot_verdict verdict;
    struct span challenge; /* decoded */
    const char *user;      /* YES: never ""; NO: who it would have been, or "" */
};

/* Comes from the loop, never from inside a call; what it is given is lent. */
typedef void dovecot_answer_fn(void *ctx, const struct dovecot_answer *answer);

/* `response` NULL: none came with AUTH. */
struct dovecot_request *dovecot_begin(struct dovecot_link *link, enum auth_mechanism mechanism,
                                      const char *client, const struct span *response,
                                      dovecot_answer_fn *on_answer, void *ctx);
void dovecot_respond(struct dovecot_request *request, struct span response);
void dovecot_cancel(struct dovecot_request **request);

#endif
