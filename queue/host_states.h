/*
 * host_states - what is known of each MX host and each next hop that mail is sent to: how many
 * connections it bears, how many there are, who waits for one, the last trouble.  Called by hosts
 * and control.  States with nothing under way are remembered up to HOSTS_IDLE_MAX, the longest idle
 * forgotten first; what was learned of them by a refusal is kept on disk (host_keep).
 */
#ifndef WAXSEAL_QUEUE_HOST_STATES_H
#define WAXSEAL_QUEUE_HOST_STATES_H

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/ipc/queue.pb-c.h"
#include "queue/host_limit.h"
#include "queue/records.h"

enum {
    HOST_WORDS_SIZE = 200,
    HOST_TLS_KEPT_MS = 24 * 60 * 60 * 1000, /* what was learned of TLS is tried out anew then */
};

struct host_state {
    enum host_kind kind;
    char name[HOP_NAME_MAX + 1];
    struct host_limit limit;
    char words[HOST_WORDS_SIZE]; /* of the last trouble */
    Ipc__HostTls tls;            /* what was learned of its TLS, until ... */
    int64_t tls_until_ms;        /* ... then, in UTC; not kept on disk */
    unsigned open;               /* slots that were granted */
    unsigned standing;           /* of these, connections that are fit for mail */
    struct list slots;           /* those granted, the oldest first */
    struct list waiting;         /* asks, the oldest first */
    struct list awaited;         /* among the states for which there are asks */
    struct list idle;            /* among those with nothing under way */
    struct list changed;         /* among those to be written */
};

struct host_states;
/* Reads what is on disk of a state that comes into being; gives false when there is nothing. */
typedef bool host_states_load_fn(void *ctx, struct host_state *state);

struct host_states *host_states_new(host_states_load_fn *load, void *ctx);
void host_states_free(struct host_states **states);

/* The state of a name, made when there is none; NULL: no such name. */
struct host_state *host_states_have(struct host_states *states, enum host_kind kind,
                                    struct span name, unsigned cap);
struct host_state *host_states_find(const struct host_states *states, enum host_kind kind,
                                    struct span name);
/* Nothing is under way with it any more, perhaps: it may be forgotten some time. */
void host_states_settle(struct host_states *states, struct host_state *state);
/* What was learned of it has changed. */
void host_states_change(struct host_states *states, struct host_state *state);
/* Those to be written; each is taken out of the list by who writes it. */
struct list *host_states_changed(struct host_states *states);

/* What was learned of its TLS and still holds. */
Ipc__HostTls host_state_tls(const struct host_state *state, int64_t now_utc_ms);
/* "classic", "legacy"; NULL: nothing, or nothing that we know. */
const char *host_tls_name(Ipc__HostTls tls);

/* Each in turn, as map_next; none may come or go meanwhile. */
struct host_state *host_states_next(const struct host_states *states, size_t *cursor);
size_t host_states_count(const struct host_states *states);

#endif
