#include "queue/hosts.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"

enum {
    TICK_MS = SECOND_MS, /* between looks at who waits */
    TRIED_MAX = 64,      /* asks for one host, whenever there is room */
};

struct hosts {
    struct loop *loop;
    struct host_states *states;
    struct host_keep *keep;
    const struct hosts_events *events;
    void *ctx;
    struct loop_timer *tick;
    struct list awaited; /* states for which there are asks */
    unsigned host_cap;
};

/* A place among those that wait for a host, or for the hop. */
struct ask {
    struct list others;
    struct slot *slot;
    struct host_state *state;
};

struct slot {
    struct slot_holder *holder;
    uint64_t number;
    struct ask hop;
    struct ask hosts[SLOT_HOSTS_MAX];
    unsigned count;
    struct host_state *host; /* which one was granted; NULL: it waits */
    struct list of_host;
    int64_t since_ms; /* of the loop */
    bool is_standing;
    bool is_host_probe;
    bool is_hop_probe;
};

/* ---- counting ------------------------------------------------------------------------------- */

unsigned hosts_cap(const struct hosts *hosts, const struct host_state *state)
{
    unsigned cap = hosts->host_cap;

    if (state->kind == HOST_HOP)
        cap = hosts->events->hop_cap(hosts->ctx, span_of(state->name));
    return cap > 0 ? cap : 1;
}

static void note_change(struct hosts *hosts, struct host_state *state)
{
    host_states_change(hosts->states, state);
    host_keep_soon(hosts->keep, host_states_changed(hosts->states));
}

static bool has_room(const struct hosts *hosts, const struct host_state *state, int64_t now_ms)
{
    return state->open < host_limit_now(&state->limit, hosts_cap(hosts, state), now_ms);
}

static void stood(struct hosts *hosts, struct host_state *state, bool probe)
{
    bool was_learned = state->limit.is_learned;

    state->standing++;
    host_limit_stood(&state->limit, hosts_cap(hosts, state), state->standing, probe,
                     clock_utc_ms());
    if (was_learned)
        note_change(hosts, state);
}

static void refused(struct hosts *hosts, struct host_state *state, bool probe, struct span words)
{
    host_limit_refused(&state->limit, hosts_cap(hosts, state), state->standing, probe,
                       clock_utc_ms());
    span_to_string(span_first(words, HOST_WORDS_SIZE - 1), state->words, sizeof(state->words));
    note_change(hosts, state);
}

/* ---- asks ----------------------------------------------------------------------------------- */

static void ask_wait(struct hosts *hosts, struct ask *ask)
{
    list_append(&ask->state->waiting, &ask->others);
    if (list_empty(&ask->state->awaited))
        list_append(&hosts->awaited, &ask->state->awaited);
    if (!loop_timer_running(hosts->tick))
        loop_timer_start(hosts->tick, TICK_MS);
}

static void ask_end(struct ask *ask)
{
    list_remove(&ask->others);
    if (list_empty(&ask->state->waiting))
        list_remove(&ask->state->awaited);
}

static void slot_wait(struct hosts *hosts, struct slot *slot)
{
    ask_wait(hosts, &slot->hop);
    for (unsigned i = 0; i < slot->count; i++)
        ask_wait(hosts, &slot->hosts[i]);
}

static void slot_wait_no_more(struct slot *slot)
{
    ask_end(&slot->hop);
    for (unsigned i = 0; i < slot->count; i++)
        ask_end(&slot->hosts[i]);
}

/* The hosts it was not granted for are no concern of it any more. */
static void slot_keep_one(struct hosts *hosts, struct slot *slot)
{
    for (unsigned i = 0; i < slot->count; i++)
        if (slot->hosts[i].state != slot->host)
            host_states_settle(hosts->states, slot->hosts[i].state);
    slot->count = 0;
}

static void take(struct hosts *hosts, struct slot *slot, struct host_state *host)
{
    struct host_state *hop = slot->hop.state;

    slot_wait_no_more(slot);
    slot->host = host;
    slot->since_ms = loop_now(hosts->loop);
    slot->is_host_probe = host_limit_is_probe(&host->limit, host->open);
    slot->is_hop_probe = host_limit_is_probe(&hop->limit, hop->open);
    host->open++;
    hop->open++;
    list_append(&host->slots, &slot->of_host);
    slot_keep_one(hosts, slot);
}

/* While another worker waits for the host, one has half of it at most: it may have been captured.
 */
static bool leaves_room(const struct hosts *hosts, const struct slot *slot,
                        const struct host_state *host)
{
    unsigned most = (host_limit_now(&host->limit, hosts_cap(hosts, host), clock_utc_ms()) + 1) / 2;
    bool others_wait = false;
    const struct ask *ask;
    const struct slot *held;

    LIST_EACH(ask, &host->waiting, const struct ask, others)
    {
        others_wait = ask->slot->holder != slot->holder;
        if (others_wait)
            break;
    }
    if (!others_wait)
        return true;
    LIST_EACH(held, &host->slots, const struct slot, of_host)
    {
        if (held->holder == slot->holder && most-- <= 1)
            return false;
    }
    return true;
}

static bool try_grant(struct hosts *hosts, struct slot *slot, int64_t now_ms)
{
    if (!has_room(hosts, slot->hop.state, now_ms))
        return false;
    for (unsigned i = 0; i < slot->count; i++) {
        struct host_state *host = slot->hosts[i].state;
        if (!has_room(hosts, host, now_ms) || !leaves_room(hosts, slot, host))
            continue;
        unsigned others = host->standing;
        take(hosts, slot, host);
        hosts->events->granted(hosts->ctx, slot->holder, slot->number, i, others,
                               host_state_tls(host, now_ms));
        return true;
    }
    return false;
}

/* Grants what can be granted to those who wait for it. */
static void serve(struct hosts *hosts, struct host_state *state)
{
    int64_t now_ms = clock_utc_ms();
    unsigned tried = 0;
    struct ask *ask;

    LIST_EACH(ask, &state->waiting, struct ask, others)
    {
        if (tried++ >= TRIED_MAX || !has_room(hosts, state, now_ms))
            break;
        try_grant(hosts, ask->slot, now_ms);
    }
}

/* ---- slots ---------------------------------------------------------------------------------- */

/* It counts no more. */
static void slot_leave(struct hosts *hosts, struct slot *slot)
{
    struct host_state *host = slot->host;
    struct host_state *hop = slot->hop.state;

    list_remove(&slot->of_host);
    host->open--;
    hop->open--;
    host->standing -= slot->is_standing;
    hop->standing -= slot->is_standing;
    serve(hosts, host);
    serve(hosts, hop);
}

static void slot_end(struct hosts *hosts, struct slot *slot)
{
    if (slot->host)
        slot_leave(hosts, slot);
    else
        slot_wait_no_more(slot);
    map_remove_number(slot->holder->slots, slot->number);
    host_states_settle(hosts->states, slot->hop.state);
    if (slot->host)
        host_states_settle(hosts->states, slot->host);
    for (unsigned i = 0; i < slot->count; i++)
        host_states_settle(hosts->states, slot->hosts[i].state);
    free(slot);
}

/* The state of one more host; false: it is none, or was named before. */
static bool add_host(struct hosts *hosts, struct slot *slot, struct span name)
{
    struct ask *ask = &slot->hosts[slot->count];

    ask->slot = slot;
    list_init(&ask->others);
    ask->state = host_states_have(hosts->states, HOST_MX, name, hosts->host_cap);
    for (unsigned i = 0; i < slot->count; i++)
        if (slot->hosts[i].state == ask->state)
            return false;
    slot->count += ask->state != NULL;
    return ask->state != NULL;
}

static bool add_hop(struct hosts *hosts, struct slot *slot, struct span name)
{
    unsigned cap = hosts->events->hop_cap(hosts->ctx, name);

    slot->hop.slot = slot;
    list_init(&slot->hop.others);
    slot->hop.state = host_states_have(hosts->states, HOST_HOP, name, cap > 0 ? cap : 1);
    return slot->hop.state != NULL;
}

/* NULL: it names what cannot be a host or a hop. */
static struct slot *slot_new(struct hosts *hosts, struct slot_holder *holder, uint64_t number,
                             struct span hop, const ProtobufCBinaryData *names, size_t count)
{
    struct slot *slot = memory_new(sizeof(*slot));

    slot->holder = holder;
    slot->number = number;
    list_init(&slot->of_host);
    if (!add_hop(hosts, slot, hop)) {
        free(slot);
        return NULL;
    }
    map_put_number(holder->slots, number, slot);
    for (size_t i = 0; i < count; i++) {
        if (add_host(hosts, slot, span_of_bytes(names[i])))
            continue;
        slot_end(hosts, slot);
        return NULL;
    }
    return slot;
}

static const char *on_ask(struct hosts *hosts, struct slot_holder *holder, const Ipc__SlotAsk *ask)
{
    if (map_get_number(holder->slots, ask->number))
        return "a slot is asked for twice";
    if (ask->n_hosts == 0 || ask->n_hosts > SLOT_HOSTS_MAX)
        return "a slot for no host, or for too many";
    if (map_count(holder->slots) >= holder->slots_max)
        return "a worker asks for more slots than it has use for";
    struct slot *slot =
        slot_new(hosts, holder, ask->number, span_of_bytes(ask->hop), ask->hosts, ask->n_hosts);
    if (!slot)
        return "a slot for what is no host";
    if (!try_grant(hosts, slot, clock_utc_ms()))
        slot_wait(hosts, slot);
    return NULL;
}

static void on_standing(struct hosts *hosts, struct slot *slot)
{
    if (!slot || !slot->host || slot->is_standing)
        return;
    slot->is_standing = true;
    stood(hosts, slot->host, slot->is_host_probe);
    stood(hosts, slot->hop.state, slot->is_hop_probe);
    serve(hosts, slot->host);
    serve(hosts, slot->hop.state);
}

static void log_refusal(const struct host_state *host)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "host-refused");
    log_string(&line, "host", host->name);
    log_number(&line, "limit", host->limit.limit);
    log_string(&line, "reason", host->words);
    log_end(&line);
}

/*
 * A hop learns from it only what its hosts do not know by themselves: a probe of the host's says
 * nothing about others, nor does a host that is dead while others work.
 */
static void note_refusal(struct hosts *hosts, struct slot *slot, struct span words)
{
    struct host_state *host = slot->host;
    struct host_state *hop = slot->hop.state;
    bool was_known = host->limit.is_learned;

    if (slot->is_standing) { /* it stood until now */
        slot->is_standing = false;
        host->standing--;
        hop->standing--;
    }
    if (!slot->is_host_probe && (host->standing > 0 || hop->standing == 0))
        refused(hosts, hop, slot->is_hop_probe, words);
    refused(hosts, host, slot->is_host_probe, words);
    if (!was_known)
        log_refusal(host);
}

static void log_lesson(const struct host_state *host)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "host-tls-learned");
    log_string(&line, "host", host->name);
    log_string(&line, "tls", host_tls_name(host->tls));
    log_end(&line);
}

/* It holds from now on; whoever knew it before does not say it again. */
static void on_lesson(const struct slot *slot, const Ipc__SlotLesson *lesson)
{
    if (!slot || !slot->host || lesson->tls == IPC__HOST_TLS__HOST_TLS_NOTHING ||
        !host_tls_name(lesson->tls))
        return;
    slot->host->tls = lesson->tls;
    slot->host->tls_until_ms = clock_utc_ms() + HOST_TLS_KEPT_MS;
    log_lesson(slot->host);
}

static void on_back(struct hosts *hosts, struct slot *slot, const Ipc__SlotBack *back)
{
    if (!slot)
        return;
    if (back->refused && slot->host)
        note_refusal(hosts, slot, span_of_bytes(back->words));
    slot_end(hosts, slot);
}

const char *hosts_report(struct hosts *hosts, struct slot_holder *holder,
                         const Ipc__SlotReport *report)
{
    const char *wrong = NULL;

    for (size_t i = 0; i < report->n_standing; i++)
        on_standing(hosts, map_get_number(holder->slots, report->standing[i]));
    for (size_t i = 0; i < report->n_lessons; i++)
        on_lesson(map_get_number(holder->slots, report->lessons[i]->number), report->lessons[i]);
    for (size_t i = 0; i < report->n_backs; i++)
        on_back(hosts, map_get_number(holder->slots, report->backs[i]->number), report->backs[i]);
    for (size_t i = 0; i < report->n_asks && !wrong; i++)
        wrong = on_ask(hosts, holder, report->asks[i]);
    return wrong;
}

/* ---- who waits ------------------------------------------------------------------------------ */

/* A worker that never gives it back may have been captured. */
static void drop_aged(struct hosts *hosts, struct host_state *host)
{
    int64_t now_ms = loop_now(hosts->loop);
    struct slot *slot;

    LIST_EACH(slot, &host->slots, struct slot, of_host)
    {
        if (now_ms - slot->since_ms < SLOT_AGE_MS)
            return;
        slot_end(hosts, slot);
    }
}

static void on_tick(void *ctx)
{
    struct hosts *hosts = ctx;
    struct list all;

    list_init(&all);
    list_splice(&all, &hosts->awaited);
    while (!list_empty(&all)) {
        struct host_state *state = LIST_FIRST(&all, struct host_state, awaited);
        list_remove(&state->awaited);
        list_append(&hosts->awaited, &state->awaited);
        drop_aged(hosts, state);
        serve(hosts, state);
    }
    if (!list_empty(&hosts->awaited))
        loop_timer_start(hosts->tick, TICK_MS);
}

/* ---- workers come and go -------------------------------------------------------------------- */

void slot_holder_init(struct slot_holder *holder)
{
    holder->slots = map_new();
}

static void adopt(struct hosts *hosts, struct slot_holder *holder, const Ipc__SlotHeld *held)
{
    if (map_get_number(holder->slots, held->number) ||
        map_count(holder->slots) >= holder->slots_max)
        return;
    struct slot *slot =
        slot_new(hosts, holder, held->number, span_of_bytes(held->hop), &held->host, 1);
    if (!slot)
        return;
    take(hosts, slot, slot->hosts[0].state);
    if (held->standing)
        on_standing(hosts, slot);
}

void hosts_adopt(struct hosts *hosts, struct slot_holder *holder, Ipc__SlotHeld **held,
                 size_t count)
{
    for (size_t i = 0; i < count; i++)
        adopt(hosts, holder, held[i]);
}

void hosts_release(struct hosts *hosts, struct slot_holder *holder)
{
    for (;;) {
        size_t cursor = 0;
        struct slot *slot = map_next(holder->slots, &cursor, NULL);
        if (!slot)
            break;
        slot_end(hosts, slot);
    }
    map_free(&holder->slots);
}

/* ---- for the operator ----------------------------------------------------------------------- */

struct host_keep *hosts_keep(struct hosts *hosts)
{
    return hosts->keep;
}

struct host_states *hosts_states(struct hosts *hosts)
{
    return hosts->states;
}

static bool forget_state(struct hosts *hosts, enum host_kind kind, struct span name)
{
    struct host_state *state = host_states_find(hosts->states, kind, name);
    struct host_state known = { .kind = kind };

    if (!state &&
        (name.len > HOP_NAME_MAX || !span_to_string(name, known.name, sizeof(known.name))))
        return false;
    if (!state && !host_keep_load(hosts->keep, &known))
        return false;
    if (state && !state->limit.is_learned && state->tls == IPC__HOST_TLS__HOST_TLS_NOTHING)
        return false;
    host_keep_drop(hosts->keep, kind, name);
    if (!state)
        return true;
    host_limit_init(&state->limit, hosts_cap(hosts, state));
    host_limit_stood(&state->limit, hosts_cap(hosts, state), state->standing, false,
                     clock_utc_ms());
    state->words[0] = '\0';
    state->tls = IPC__HOST_TLS__HOST_TLS_NOTHING;
    serve(hosts, state);
    return true;
}

bool hosts_forget(struct hosts *hosts, struct span name)
{
    bool was_host = forget_state(hosts, HOST_MX, name);
    bool was_hop = forget_state(hosts, HOST_HOP, name);

    return was_host || was_hop;
}

/* ---- from start to end ---------------------------------------------------------------------- */

static bool load_state(void *ctx, struct host_state *state)
{
    struct hosts *hosts = ctx;

    return host_keep_load(hosts->keep, state);
}

struct hosts *hosts_new(struct loop *loop, struct store *store, struct committer *committer,
                        const struct hosts_events *events, void *ctx)
{
    struct hosts *hosts = memory_new(sizeof(*hosts));

    hosts->loop = loop;
    hosts->events = events;
    hosts->ctx = ctx;
    hosts->states = host_states_new(load_state, hosts);
    hosts->keep = host_keep_new(loop, store, committer);
    hosts->tick = loop_timer_new(loop, on_tick, hosts);
    hosts->host_cap = 1;
    list_init(&hosts->awaited);
    return hosts;
}

void hosts_set(struct hosts *hosts, unsigned host_cap)
{
    hosts->host_cap = host_cap > 0 ? host_cap : 1;
    loop_timer_start(hosts->tick, 0);
}

void hosts_flush(struct hosts *hosts)
{
    host_keep_now(hosts->keep);
}

void hosts_free(struct hosts **hosts)
{
    if (!*hosts)
        return;
    loop_timer_free(&(*hosts)->tick);
    host_keep_free(&(*hosts)->keep);
    host_states_free(&(*hosts)->states);
    free(*hosts);
    *hosts = NULL;
}
