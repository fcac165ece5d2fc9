#include "queue/probes.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/envelope_codec.h"

/* Below every lease's number, which begins with a message's id. */
enum { NUMBERS = 1 << 20 };

/* What is known of a mailbox, or being asked. */
struct probe {
    struct list others; /* in the order in which they were last asked for */
    struct probes *probes;
    struct list asks;
    struct loop_timer *patience;
    uint64_t number;                /* of the job under way; 0: none */
    const struct worker_slot *slot; /* which has it */
    Ipc__ProbeVerdict verdict;
    int64_t until_ms; /* the verdict counts up to then; of the loop */
    char mailbox[ADDRESS_MAX + DOMAIN_MAX + 2];
};

struct probe_ask {
    struct list of_probe;
    struct list of_asker;
    struct probe_asker *asker;
    uint64_t id;
};

struct probes {
    struct loop *loop;
    probes_send_fn *send;
    void *ctx;
    struct map *by_mailbox;
    struct map *by_number; /* those under way */
    struct list all;
    uint64_t serial;
};

/* ---- asks --------------------------------------------------------------------------------- */

static void ask_end(struct probe_ask *ask)
{
    list_remove(&ask->of_probe);
    list_remove(&ask->of_asker);
    ask->asker->count--;
    free(ask);
}

static void answer_all(struct probe *probe, Ipc__ProbeVerdict verdict)
{
    while (!list_empty(&probe->asks)) {
        struct probe_ask *ask = LIST_FIRST(&probe->asks, struct probe_ask, of_probe);
        struct probe_asker *asker = ask->asker;
        uint64_t id = ask->id;
        ask_end(ask);
        asker->answer(asker->ctx, id, verdict);
    }
}

void probe_asker_init(struct probe_asker *asker,
                      void (*answer)(void *ctx, uint64_t id, Ipc__ProbeVerdict verdict), void *ctx)
{
    *asker = (struct probe_asker){ .answer = answer, .ctx = ctx };
    list_init(&asker->asks);
}

void probes_forget(struct probe_asker *asker)
{
    while (!list_empty(&asker->asks))
        ask_end(LIST_FIRST(&asker->asks, struct probe_ask, of_asker));
}

static void ask_add(struct probe *probe, struct probe_asker *asker, uint64_t id)
{
    struct probe_ask *ask = memory_new(sizeof(*ask));

    ask->asker = asker;
    ask->id = id;
    list_append(&probe->asks, &ask->of_probe);
    list_append(&asker->asks, &ask->of_asker);
    asker->count++;
}

/* ---- what is remembered ------------------------------------------------------------------- */

static void probe_free(struct probe *probe)
{
    answer_all(probe, IPC__PROBE_VERDICT__PROBE_UNDECIDED);
    map_remove(probe->probes->by_mailbox, span_of(probe->mailbox));
    list_remove(&probe->others);
    loop_timer_free(&probe->patience);
    free(probe);
}

/* The client has waited long enough; what comes later is for the next one. */
static void on_patience(void *ctx)
{
    answer_all(ctx, IPC__PROBE_VERDICT__PROBE_UNDECIDED);
}

/* Makes room: the one longest not asked for that is not under way; false: all are. */
static bool forget_oldest(struct probes *p)
{
    struct probe *probe;

    LIST_EACH(probe, &p->all, struct probe, others)
    {
        if (probe->number != 0)
            continue;
        probe_free(probe);
        return true;
    }
    return false;
}

/* Local-parts keep their case: whether it counts is for the host to say (RFC 5321 s.2.4). */
static struct probe *probe_of(struct probes *p, const struct address *mailbox)
{
    char key[sizeof(((struct probe *)NULL)->mailbox)];
    struct span local_part = { mailbox->text, mailbox->local_len };
    struct probe *probe;

    ensure(span_to_string(local_part, key, sizeof(key)));
    strcat(key, "@");
    strcat(key, mailbox->domain);
    probe = map_get(p->by_mailbox, span_of(key));
    if (probe) {
        list_remove(&probe->others);
        list_append(&p->all, &probe->others);
        return probe;
    }
    if (map_count(p->by_mailbox) >= PROBES_KEPT_MAX && !forget_oldest(p))
        return NULL;
    probe = memory_new(sizeof(*probe));
    probe->probes = p;
    list_init(&probe->asks);
    memcpy(probe->mailbox, key, sizeof(key));
    probe->patience = loop_timer_new(p->loop, on_patience, probe);
    map_put(p->by_mailbox, span_of(probe->mailbox), probe);
    list_append(&p->all, &probe->others);
    return probe;
}

/* ---- asking the next hop ------------------------------------------------------------------ */

static uint64_t new_number(struct probes *p)
{
    do {
        p->serial = p->serial % (NUMBERS - 1) + 1;
    } while (map_get_number(p->by_number, p->serial));
    return p->serial;
}

static bool send_job(struct probe *probe, uint64_t number, const struct address *mailbox,
                     struct span hop)
{
    const struct probes *p = probe->probes;
    Ipc__Job job = IPC__JOB__INIT;
    struct envelope envelope;

    envelope_init(&envelope); /* from <>: nobody is to be told (RFC 5321 s.4.5.5) */
    envelope.smtputf8 = !address_is_ascii(mailbox);
    envelope_add(&envelope, mailbox);
    Ipc__Envelope *message = envelope_to_message(&envelope);
    job.lease = number;
    job.next_hop = bytes_of_span(hop);
    job.envelope = message;
    job.skip_policy = true;
    job.probe = true;
    bool is_sent = p->send(p->ctx, hop, &job, &probe->slot);
    envelope_message_free(&message);
    envelope_clear(&envelope);
    return is_sent;
}

static bool begin(struct probes *p, struct probe *probe, const struct address *mailbox,
                  struct span hop)
{
    uint64_t number;

    if (map_count(p->by_number) >= PROBES_MAX)
        return false;
    number = new_number(p);
    if (!send_job(probe, number, mailbox, hop))
        return false;
    probe->number = number;
    map_put_number(p->by_number, number, probe);
    loop_timer_start(probe->patience, PROBE_WAIT_MS);
    return true;
}

void probes_ask(struct probes *probes, struct probe_asker *asker, uint64_t id,
                const struct address *mailbox, struct span hop)
{
    struct probe *probe = asker->count < PROBE_ASKS_MAX ? probe_of(probes, mailbox) : NULL;
    Ipc__ProbeVerdict verdict = IPC__PROBE_VERDICT__PROBE_UNDECIDED;
    bool is_waiting = false;

    if (probe && loop_now(probes->loop) < probe->until_ms)
        verdict = probe->verdict;
    else if (probe && probe->number != 0)
        is_waiting = loop_timer_running(probe->patience);
    else if (probe)
        is_waiting = begin(probes, probe, mailbox, hop);
    if (is_waiting)
        ask_add(probe, asker, id);
    else
        asker->answer(asker->ctx, id, verdict);
}

/* ---- what came of it ---------------------------------------------------------------------- */

static Ipc__ProbeVerdict verdict_of(const Ipc__Outcome *outcome)
{
    Ipc__ResultKind kind =
        outcome->n_results == 1 ? outcome->results[0]->kind : IPC__RESULT_KIND__DEFERRED;

    if (kind == IPC__RESULT_KIND__DELIVERED)
        return IPC__PROBE_VERDICT__PROBE_TAKEN;
    return kind == IPC__RESULT_KIND__FAILED && outcome->results[0]->remote
               ? IPC__PROBE_VERDICT__PROBE_REFUSED
               : IPC__PROBE_VERDICT__PROBE_UNDECIDED;
}

static int64_t time_of(Ipc__ProbeVerdict verdict)
{
    if (verdict == IPC__PROBE_VERDICT__PROBE_TAKEN)
        return PROBE_TAKEN_MS;
    return verdict == IPC__PROBE_VERDICT__PROBE_REFUSED ? PROBE_REFUSED_MS : PROBE_UNDECIDED_MS;
}

static void probe_ended(struct probe *probe, Ipc__ProbeVerdict verdict)
{
    map_remove_number(probe->probes->by_number, probe->number);
    probe->number = 0;
    probe->slot = NULL;
    loop_timer_cancel(probe->patience);
    probe->verdict = verdict;
    probe->until_ms = loop_now(probe->probes->loop) + time_of(verdict);
    answer_all(probe, verdict);
}

bool probes_take_outcome(struct probes *probes, const struct worker_slot *slot,
                         const Ipc__Outcome *outcome)
{
    struct probe *probe =
        outcome->lease < NUMBERS ? map_get_number(probes->by_number, outcome->lease) : NULL;

    if (!probe || probe->slot != slot)
        return false;
    probe_ended(probe, verdict_of(outcome));
    return true;
}

void probes_worker_gone(struct probes *probes, const struct worker_slot *slot)
{
    struct probe *probe;

    LIST_EACH(probe, &probes->all, struct probe, others)
    {
        if (probe->number != 0 && probe->slot == slot)
            probe_ended(probe, IPC__PROBE_VERDICT__PROBE_UNDECIDED);
    }
}

/* ---- all of them -------------------------------------------------------------------------- */

struct probes *probes_new(struct loop *loop, probes_send_fn *send, void *ctx)
{
    struct probes *p = memory_new(sizeof(*p));

    p->loop = loop;
    p->send = send;
    p->ctx = ctx;
    p->by_mailbox = map_new();
    p->by_number = map_new();
    p->serial = random_below(NUMBERS - 1);
    list_init(&p->all);
    return p;
}

void probes_free(struct probes **probes)
{
    struct probes *p = *probes;

    *probes = NULL;
    if (!p)
        return;
    while (!list_empty(&p->all))
        probe_free(LIST_FIRST(&p->all, struct probe, others));
    map_free(&p->by_mailbox);
    map_free(&p->by_number);
    free(p);
}
