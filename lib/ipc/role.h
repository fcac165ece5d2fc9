/*
 * role - the inside of every role process: its channel to the supervisor, the settings and files
 * handed over, its peers, and the operator's requests.  A role's entry sets itself up and calls
 * role_serve.  The process ends when the supervisor's channel reads EOF.  Of a peer's channel that
 * ends the supervisor is told: it ends who is to blame, and `peer` comes again.
 */
#ifndef WAXSEAL_IPC_ROLE_H
#define WAXSEAL_IPC_ROLE_H

#include "lib/base/json.h"
#include "lib/base/settings.h"
#include "lib/io/loop.h"

enum role_id {
    ROLE_SUPERVISOR,
    ROLE_SMTPD,
    ROLE_QUEUE,
    ROLE_DELIVER,
    ROLE_POLICY,
    ROLE_TLSRPT,
    ROLE_AUTH,
    ROLE_PICKUP,
    ROLE_SIGN,
    ROLE_COUNT,
};

const char *role_name(enum role_id id);

/* Exit statuses that the supervisor understands. */
enum {
    ROLE_EXIT_DONE = 0,
    ROLE_EXIT_TROUBLE = 1,  /* start me anew */
    ROLE_EXIT_STORAGE = 71, /* the store is damaged or failing: stay down */
    ROLE_EXIT_REFUSED = 78, /* cannot run like this (newer database, ...): stop the service */
};

/* Files whose content the supervisor hands over, and again when they change. */
enum role_content {
    CONTENT_CA_BUNDLE,         /* deliver, policy, tlsrpt */
    CONTENT_RESOLV_CONF,       /* deliver, policy, tlsrpt */
    CONTENT_CERTIFICATE,       /* smtpd, per listener and pair, see role_pair_index */
    CONTENT_KEY,               /* smtpd, the same */
    CONTENT_USERS,             /* auth */
    CONTENT_CLIENT_CA,         /* smtpd, per listener */
    CONTENT_RECIPIENTS,        /* smtpd, per listener */
    CONTENT_TICKET_KEYS,       /* smtpd; made by the supervisor, see lib/io/tls_server.h */
    CONTENT_ALIASES,           /* smtpd, pickup */
    CONTENT_ROUTE_CREDENTIALS, /* deliver, per route; see lib/mail/credentials */
    CONTENT_DKIM_KEY,          /* sign, per entry of dkim */
    CONTENT_COUNT,
};

/* How the n-th certificate of the i-th listener is numbered, and its key. */
enum { CONTENT_INDEX_MAX = SETTINGS_LISTENERS_MAX * SETTINGS_CERTIFICATES_MAX };
_Static_assert((int)CONTENT_INDEX_MAX >= (int)SETTINGS_ROUTES_MAX &&
                   (int)CONTENT_INDEX_MAX >= (int)SETTINGS_DKIM_MAX,
               "each route has a number, and each key");
static inline unsigned role_pair_index(unsigned listener, unsigned n)
{
    return listener * SETTINGS_CERTIFICATES_MAX + n;
}

struct role;
struct role_request;

struct role_events {
    /* A listening socket; the descriptor is the role's.  NULL: this role has none. */
    void (*listener)(void *ctx, unsigned index, int fd);
    /* A channel to another role, the first or a new one after a death; the descriptor is the
     * role's. */
    void (*peer)(void *ctx, enum role_id peer, unsigned instance, int fd);
    /* New settings in place (role_settings gives them); NULL: this role gets a successor instead.
     */
    void (*settings)(void *ctx);
    /* A file's content changed (role_content gives it). */
    void (*content)(void *ctx, enum role_content kind, unsigned index);
    /* Take nothing new, end what is begun within wait_ms, then role_end. */
    void (*drain)(void *ctx, int64_t wait_ms);
    /* An operator's request, to be answered now or later with role_reply. */
    void (*control)(void *ctx, struct role_request *request);
};

/*
 * Takes the supervisor's channel and waits for all that is handed over at start.  Ends the process
 * when the supervisor is gone.  Opens the log.
 */
struct role *role_open(int fd);
void role_free(struct role **role);

enum role_id role_id(const struct role *role);
unsigned role_instance(const struct role *role);
struct loop *role_loop(const struct role *role);
/* The settings in force; lent until the next `settings` event. */
const struct settings *role_settings(const struct role *role);
/* A handed-over file; data NULL when there is none.  Lent until it changes. */
struct span role_content(const struct role *role, enum role_content kind, unsigned index);
/* Was it handed over under the settings in force?  At a reload files come behind the settings. */
bool role_content_is_current(const struct role *role, enum role_content kind, unsigned index);
/* smtpd's table of counters, a descriptor of shared memory that stays the role's; -1: none. */
int role_shared(const struct role *role);

/* Gives the waiting listeners and peers, says Ready, and runs until role_end.  Gives the exit
 * status. */
int role_serve(struct role *role, const struct role_events *events, void *ctx);
void role_end(struct role *role, int exit_status);

/* Logs why and ends the process at once with an exit status. */
void role_die(int exit_status, struct error *why) __attribute__((noreturn));

/* --- an operator's request: "queue list" with named arguments.  Owned by the role until answered.
 */
struct span role_request_verb(const struct role_request *request);
/* data NULL when there is none of that name. */
struct span role_request_argument(const struct role_request *request, const char *name);
/* Who asks, as the supervisor has it from the system. */
uint32_t role_request_uid(const struct role_request *request);
/* The asker went away: a long answer or task may end.  The request is still to be answered. */
bool role_request_is_gone(const struct role_request *request);
/* A piece of the answer (JSON); with `last` the request is freed and *request set to NULL. */
void role_reply(struct role_request **request, struct span json, bool last);
/* The whole answer at once; takes *json. */
void role_reply_json(struct role_request **request, struct json **json);
/* Ends it with a sentence for people. */
void role_reply_failed(struct role_request **request, const char *sentence);

#endif
