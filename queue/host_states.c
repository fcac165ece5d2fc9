#include "queue/host_states.h"

#include <stdlib.h>

#include "lib/base/error.h"
#include "lib/base/memory.h"

struct host_states {
    struct map *by_key;
    struct list idle; /* the longest first */
    unsigned idle_count;
    struct list changed;
    host_states_load_fn *load;
    void *ctx;
};

struct host_states *host_states_new(host_states_load_fn *load, void *ctx)
{
    struct host_states *states = memory_new(sizeof(*states));

    states->by_key = map_new();
    states->load = load;
    states->ctx = ctx;
    list_init(&states->idle);
    list_init(&states->changed);
    return states;
}

static void forget(struct host_states *states, struct host_state *state)
{
    struct record_key key = key_of_host(state->kind, span_of(state->name));

    if (!list_empty(&state->idle))
        states->idle_count--;
    list_remove(&state->idle);
    list_remove(&state->changed);
    list_remove(&state->awaited);
    map_remove(states->by_key, key_span(&key));
    free(state);
}

void host_states_free(struct host_states **states)
{
    struct host_states *s = *states;

    *states = NULL;
    if (!s)
        return;
    for (;;) {
        size_t cursor = 0;
        struct host_state *state = host_states_next(s, &cursor);
        if (!state)
            break;
        forget(s, state);
    }
    map_free(&s->by_key);
    free(s);
}

/* Names come from workers and go into keys, logs and tables. */
static bool is_name(struct span name)
{
    if (name.len == 0 || name.len > HOP_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] <= ' ' || name.data[i] > '~')
            return false;
    return true;
}

struct host_state *host_states_find(const struct host_states *states, enum host_kind kind,
                                    struct span name)
{
    if (!is_name(name))
        return NULL;
    struct record_key key = key_of_host(kind, name);
    return map_get(states->by_key, key_span(&key));
}

static struct host_state *make(struct host_states *states, enum host_kind kind, struct span name,
                               unsigned cap)
{
    struct record_key key = key_of_host(kind, name);
    struct host_state *state = memory_new(sizeof(*state));

    state->kind = kind;
    ensure(span_to_string(name, state->name, sizeof(state->name)));
    list_init(&state->slots);
    list_init(&state->waiting);
    list_init(&state->awaited);
    list_init(&state->idle);
    list_init(&state->changed);
    if (states->load(states->ctx, state))
        host_limit_restore(&state->limit, cap);
    else
        host_limit_init(&state->limit, cap);
    map_put(states->by_key, key_span(&key), state);
    return state;
}

struct host_state *host_states_have(struct host_states *states, enum host_kind kind,
                                    struct span name, unsigned cap)
{
    struct host_state *state = host_states_find(states, kind, name);

    if (!is_name(name))
        return NULL;
    if (!state)
        return make(states, kind, name, cap);
    if (!list_empty(&state->idle))
        states->idle_count--;
    list_remove(&state->idle);
    return state;
}

/* One that is still to be written stays until it is. */
static void keep_bound(struct host_states *states)
{
    while (states->idle_count > HOSTS_IDLE_MAX) {
        struct host_state *oldest = LIST_FIRST(&states->idle, struct host_state, idle);
        if (!list_empty(&oldest->changed))
            return;
        forget(states, oldest);
    }
}

void host_states_settle(struct host_states *states, struct host_state *state)
{
    if (state->open > 0 || !list_empty(&state->waiting) || !list_empty(&state->idle))
        return;
    list_append(&states->idle, &state->idle);
    states->idle_count++;
    keep_bound(states);
}

void host_states_change(struct host_states *states, struct host_state *state)
{
    if (list_empty(&state->changed))
        list_append(&states->changed, &state->changed);
}

struct list *host_states_changed(struct host_states *states)
{
    return &states->changed;
}

struct host_state *host_states_next(const struct host_states *states, size_t *cursor)
{
    return map_next(states->by_key, cursor, NULL);
}

Ipc__HostTls host_state_tls(const struct host_state *state, int64_t now_utc_ms)
{
    return now_utc_ms < state->tls_until_ms ? state->tls : IPC__HOST_TLS__HOST_TLS_NOTHING;
}

const char *host_tls_name(Ipc__HostTls tls)
{
    if (tls == IPC__HOST_TLS__HOST_TLS_LEGACY)
        return "legacy";
    return tls == IPC__HOST_TLS__HOST_TLS_CLASSIC ? "classic" : NULL;
}

size_t host_states_count(const struct host_states *states)
{
    return map_count(states->by_key);
}
