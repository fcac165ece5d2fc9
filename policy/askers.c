#include "policy/askers.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/list.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/policy.pb-c.h"
#include "lib/mail/domain.h"

enum { QUESTIONS_MAX = 65536 }; /* of one worker at a time */

struct askers {
    struct loop *loop;
    struct domains *domains;
    struct list workers;
};

struct worker {
    struct list in_askers;
    struct askers *askers;
    struct channel *channel;
    struct list questions;
    unsigned question_count;
};

struct question {
    struct list in_worker;
    struct worker *worker;
    uint64_t id;
    struct domain_asker *asking;
};

/* ---- answers ------------------------------------------------------------------------------ */

static struct span policy_text(const struct sts_policy *policy)
{
    return (struct span){ policy->text, policy->text_len };
}

/* The patterns are allocated, all else is lent. */
static void fill_policy(Ipc__Policy *out, const struct sts_entry *entry)
{
    const struct sts_policy *policy = entry->policy;
    ipc__policy__init(out);
    out->mode = (Ipc__PolicyMode)policy->mode; /* the same numbers: see enum sts_mode */
    out->id = bytes_of_span(span_of(entry->id));
    out->n_mx = policy->mx_count;
    out->mx = memory_new_array(policy->mx_count + 1, sizeof(out->mx[0]));
    for (unsigned i = 0; i < policy->mx_count; i++)
        out->mx[i] = bytes_of_span(span_of(policy->mx[i]));
    out->max_age_s = policy->max_age_s;
    out->fetched_utc_ms = entry->fetched_utc_ms;
    out->expires_utc_ms = sts_entry_expires(entry);
    out->text = bytes_of_span(policy_text(policy));
}

_Static_assert((int)IPC__POLICY_MODE__MODE_NONE == (int)STS_NONE &&
                   (int)IPC__POLICY_MODE__MODE_TESTING == (int)STS_TESTING &&
                   (int)IPC__POLICY_MODE__MODE_ENFORCE == (int)STS_ENFORCE,
               "modes cross as they are");

static void send_answer(struct worker *worker, uint64_t id, const struct policy_answer *answer)
{
    static const Ipc__PolicyState states[] = {
        [POLICY_ABSENT] = IPC__POLICY_STATE__NO_POLICY,
        [POLICY_PRESENT] = IPC__POLICY_STATE__POLICY_FOUND,
        [POLICY_UNKNOWN] = IPC__POLICY_STATE__POLICY_NOT_KNOWN,
    };
    Ipc__PolicyAnswer out = IPC__POLICY_ANSWER__INIT;
    Ipc__Policy policy = IPC__POLICY__INIT;
    out.id = id;
    out.state = states[answer->state];
    out.fetch_result = answer->fetch_result;
    out.fetch_reason = bytes_of_span(span_of(answer->fetch_reason));
    if (answer->entry) {
        fill_policy(&policy, answer->entry);
        out.policy = &policy;
    }
    channel_send(worker->channel, FRAME_POLICY_ANSWER, &out.base, (struct span){ NULL, 0 });
    free(policy.mx);
}

static void question_free(struct question *question)
{
    list_remove(&question->in_worker);
    question->worker->question_count--;
    domain_cancel(&question->asking);
    free(question);
}

static void on_answer(void *ctx, const struct policy_answer *answer)
{
    struct question *question = ctx;
    question->asking = NULL;
    send_answer(question->worker, question->id, answer);
    question_free(question);
}

/* ---- questions ---------------------------------------------------------------------------- */

static void ask(struct worker *worker, uint64_t id, struct span domain, bool fresh)
{
    struct question *question = memory_new(sizeof(*question));
    question->worker = worker;
    question->id = id;
    list_append(&worker->questions, &question->in_worker);
    worker->question_count++;
    question->asking = domain_ask(worker->askers->domains, domain,
                                  fresh ? WISH_FRESH : WISH_CURRENT, on_answer, question);
}

static void take_question(struct worker *worker, const Ipc__PolicyAsk *m)
{
    static const struct policy_answer none = { .state = POLICY_ABSENT, .fetch_reason = "" };
    char domain[DOMAIN_MAX + 1];
    if (worker->question_count >= QUESTIONS_MAX)
        channel_refuse(worker->channel, "too many questions at a time");
    else if (!domain_normalize(span_of_bytes(m->domain), domain))
        send_answer(worker, m->id, &none); /* an address literal has no policy (RFC 8461 s.3.4) */
    else
        ask(worker, m->id, span_of(domain), m->fresh);
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    struct worker *worker = ctx;
    Ipc__PolicyAsk *m = NULL;
    if (frame->type == FRAME_POLICY_ASK)
        m = channel_decode(frame, &ipc__policy_ask__descriptor);
    if (!m) {
        channel_refuse(worker->channel, "what a worker asks does not decode");
        return;
    }
    take_question(worker, m);
    ipc__policy_ask__free_unpacked(m, NULL);
}

/* ---- workers ------------------------------------------------------------------------------ */

static void worker_free(struct worker *worker)
{
    while (!list_empty(&worker->questions))
        question_free(LIST_FIRST(&worker->questions, struct question, in_worker));
    channel_free(&worker->channel);
    list_remove(&worker->in_askers);
    free(worker);
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)err;
    worker_free(ctx);
}

static const struct channel_events channel_events = { on_frame, on_closed };

void askers_attach(struct askers *askers, int fd)
{
    struct worker *worker = memory_new(sizeof(*worker));
    worker->askers = askers;
    list_init(&worker->questions);
    list_append(&askers->workers, &worker->in_askers);
    worker->channel = channel_open(askers->loop, fd, &channel_events, worker);
}

struct askers *askers_new(struct loop *loop, struct domains *domains)
{
    struct askers *askers = memory_new(sizeof(*askers));
    askers->loop = loop;
    askers->domains = domains;
    list_init(&askers->workers);
    return askers;
}

void askers_free(struct askers **askers)
{
    struct askers *a = *askers;
    *askers = NULL;
    if (!a)
        return;
    while (!list_empty(&a->workers))
        worker_free(LIST_FIRST(&a->workers, struct worker, in_askers));
    free(a);
}
