#include "queue/deliver/attempt.h"

#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "queue/deliver/race.h"
#include "queue/deliver/report.h"
#include "queue/deliver/verdict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct attempt {
    struct list others; /* in the lane */
    struct lane *lane;
    struct plan *plan;
    struct job *job;
    struct session *session;  /* NULL in a follower: its leader has it */
    struct attempt *follower; /* its message's commands left with ours */
    bool is_follower;
    bool is_doomed; /* a follower whose job nobody wants any more */
    struct address_query *lookup;
    struct race *race;

    /* the candidate */
    unsigned candidate;
    unsigned next;                                 /* the one after it */
    struct ip_address addresses[MX_ADDRESSES_MAX]; /* not tried yet */
    unsigned address_count;
    unsigned connects;
    struct sts_decision decision; /* how to connect; then, whether mail may go */
    enum tls_floor floor;
    bool use_tls;
    bool failed_before; /* its handshake, at this address */
    unsigned line;      /* of the job's candidates */

    bool was_ready; /* some candidate was fit for mail */
    bool is_judged; /* the session has its line in the record */
    bool is_sent;   /* the dialogue has the job, or had it */
    bool is_reused; /* the session is not of our making, and may be stale */
};

static void attempt_walk(struct attempt *a);
static const struct dialogue_events attempt_events;

static const char *mx_of(const struct attempt *a)
{
    return a->plan->route.candidates[a->candidate].name;
}

static struct worker *worker_of(const struct attempt *a)
{
    return a->lane->worker;
}

/* --- birth and death */

static struct attempt *attempt_new(struct lane *lane, struct job *job)
{
    struct attempt *a = memory_new(sizeof(*a));

    a->lane = lane;
    a->plan = plan_keep(lane->plan);
    a->job = job;
    a->next = job->next_candidate;
    job->next_candidate = 0;
    list_append(&lane->attempts, &a->others);
    return a;
}

static void attempt_free(struct attempt *a)
{
    struct lane *lane = a->lane;

    list_remove(&a->others);
    race_cancel(&a->race);
    addresses_cancel(&a->lookup);
    session_free(&a->session);
    plan_free(&a->plan);
    free(a);
    lane_rest(lane);
}

/* The session goes on to whoever wants it. */
static void attempt_leave_session(struct attempt *a)
{
    if (a->session && a->session->dialogue && dialogue_is_idle(a->session->dialogue))
        lane_take_back(a->lane, &a->session);
}

/* All is tried that could be: the job goes back. */
static void attempt_over(struct attempt *a)
{
    struct lane *lane = a->lane;
    struct worker *worker = lane->worker;
    struct job *job = a->job;

    job_close(job);
    job->took_ms = loop_now(worker->loop) - job->started_ms;
    job->hop_failed = !a->was_ready && job->results[0].kind == OUTCOME_DEFERRED;
    attempt_leave_session(a);
    attempt_free(a);
    if (job->hop_failed)
        lane_hop_failed(lane, job);
    worker->job_over(worker->owner, &job);
    lane_wake(lane);
}

/* The job goes on later, before all others: the session is needed for another one. */
static void attempt_requeue(struct attempt *a, unsigned next_candidate)
{
    struct lane *lane = a->lane;
    struct job *job = a->job;

    job->next_candidate = next_candidate;
    lane_add_first(lane, job);
    attempt_free(a);
}

/* Nothing came of it. */
static void attempt_discard(struct attempt *a)
{
    struct worker *worker = worker_of(a);
    struct job *job = a->job;

    if (a->session)
        dialogue_free(&a->session->dialogue);
    attempt_free(a);
    worker->job_dropped(worker->owner, &job);
}

/* --- the record */

static struct job_candidate *line_of(struct attempt *a)
{
    return &a->job->candidates[a->line];
}

static struct job_candidate *add_line(struct attempt *a, const char *verdict)
{
    struct job_candidate *line = job_add_candidate(a->job, mx_of(a));

    a->line = a->job->candidate_count - 1;
    line->verdict = verdict;
    return line;
}

static void line_address(struct attempt *a, const struct ip_address *address)
{
    char text[NETWORK_TEXT_SIZE];

    ip_address_format(address, text);
    line_of(a)->address = job_keep(a->job, span_of(text));
}

/* What is known of the session, from its making on. */
static void line_session(struct attempt *a)
{
    const struct session *session = a->session;
    const struct dialogue_facts *facts = dialogue_facts(session->dialogue);
    struct job_candidate *line = line_of(a);

    line->address = job_keep(a->job, span_of(session->address));
    line->tls = session->tls;
    if (facts->tls != SESSION_TLS_ON)
        return;
    line->tls_version = job_keep(a->job, span_of(facts->session.version));
    line->cipher = job_keep(a->job, span_of(facts->session.cipher));
    line->certificate = job_keep(a->job, span_of(session->certificate));
}

static void log_session(const struct attempt *a, const struct dialogue_facts *facts)
{
    struct log_line line;
    bool secure = facts->tls == SESSION_TLS_ON;

    log_begin(&line, LOG_DEBUG, "session");
    log_qid(&line, a->job->id);
    log_string(&line, "mx", mx_of(a));
    log_string(&line, "address", a->session->address);
    log_string(&line, "tls", a->session->tls);
    log_string(&line, "version", secure ? facts->session.version : "");
    log_string(&line, "cipher", secure ? facts->session.cipher : "");
    log_string(&line, "result", tls_result_name(a->decision.result));
    log_string(&line, "reason", a->decision.reason);
    log_end(&line);
}

/* --- settling */

static void settle_open(struct attempt *a, const struct outcome *outcome, struct span words,
                        bool remote)
{
    job_settle(a->job, RECIPIENT_OPEN, outcome, words, remote);
}

/* The candidate does not meet what binds: never final before the end (RFC 8461 s.5). */
static void settle_policy(struct attempt *a, const char *detail)
{
    struct outcome o = outcome_of_policy(a->job->last_attempt);
    char words[VERDICT_WORDS_SIZE];

    verdict_of_policy(a->plan, mx_of(a), a->decision.reason, detail, words);
    line_of(a)->verdict = a->decision.reason;
    line_of(a)->reply = job_keep(a->job, span_of(words));
    settle_open(a, &o, span_of(words), false);
}

/* --- before connecting */

static bool is_unmet(struct attempt *a)
{
    struct sts_facts f = plan_facts(a->plan, a->candidate);

    a->decision = sts_decide_candidate(f);
    if (a->decision.deliver)
        return false;
    add_line(a, a->decision.reason);
    settle_policy(a, "");
    report_session(worker_of(a)->reports, a->plan, mx_of(a), &a->decision, NULL);
    return true;
}

static void no_address(struct attempt *a, enum address_verdict verdict, const char *reason)
{
    struct outcome o = outcome_of_addresses(verdict);
    char words[VERDICT_WORDS_SIZE];

    verdict_of_addresses(verdict, mx_of(a), reason, words);
    add_line(a, verdict_of_no_address(verdict));
    settle_open(a, &o, span_of(words), false);
}

static void on_addresses(void *ctx, enum address_verdict verdict, const struct ip_address *list,
                         unsigned count, const char *reason)
{
    struct attempt *a = ctx;

    a->lookup = NULL;
    if (verdict == ADDRESSES_FOUND) {
        memcpy(a->addresses, list, count * sizeof(*list));
        a->address_count = count;
    } else {
        no_address(a, verdict, reason);
    }
    attempt_walk(a);
}

/* The address stands in the route itself. */
static void take_fixed_address(struct attempt *a, const struct address_filter *filter)
{
    if (address_is_allowed(&a->plan->target.address, filter))
        a->addresses[a->address_count++] = a->plan->target.address;
    else
        no_address(a, ADDRESSES_REFUSED, "");
}

/* Gives true when its addresses are being looked up. */
static bool open_candidate(struct attempt *a)
{
    struct worker *worker = worker_of(a);
    struct address_filter filter = worker_filter(worker, a->plan->target.is_relayhost);

    a->candidate = a->next++;
    if (is_unmet(a))
        return false;
    if (a->plan->target.kind == TARGET_ADDRESS) {
        take_fixed_address(a, &filter);
        return false;
    }
    a->lookup = addresses_ask(worker->loop, worker->resolver, mx_of(a), &filter, on_addresses, a);
    return true;
}

/* --- connecting */

static void drop_address(struct attempt *a, const struct ip_address *address)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < a->address_count; i++)
        if (!ip_address_equal(&a->addresses[i], address))
            a->addresses[kept++] = a->addresses[i];
    a->address_count = kept;
    a->connects++;
}

static void on_lost(void *ctx, const struct endpoint *remote, const struct dialogue_end *end)
{
    struct attempt *a = ctx;

    drop_address(a, &remote->address);
    add_line(a, verdict_of_end(end->stage, end->outcome.kind));
    line_address(a, &remote->address);
    line_of(a)->reply = job_keep(a->job, end->words);
    settle_open(a, &end->outcome, end->words, end->remote);
}

static void on_won(void *ctx, struct dialogue *winner)
{
    struct attempt *a = ctx;

    a->race = NULL;
    drop_address(a, &dialogue_facts(winner)->remote.address);
    a->session->dialogue = winner;
    dialogue_bind(winner, &attempt_events, a);
}

static void on_used_up(void *ctx)
{
    struct attempt *a = ctx;

    a->race = NULL;
    attempt_walk(a);
}

static const struct race_events race_events = { on_lost, on_won, on_used_up };

static void attempt_connect(struct attempt *a, const struct ip_address *addresses, unsigned count)
{
    struct worker *worker = worker_of(a);
    struct dialogue_plan plan = { .helo = worker->settings->hostname,
                                  .mx = mx_of(a),
                                  .context = a->use_tls ? worker->contexts[a->floor] : NULL };

    session_wait(a->session, true);
    a->is_sent = a->is_judged = false;
    a->race =
        race_start(worker->loop, addresses, count, a->plan->target.port, &plan, &race_events, a);
}

/* Each candidate in turn, each of its addresses, within bounds (pitfalls.md section 7.10). */
static void attempt_walk(struct attempt *a)
{
    for (;;) {
        bool may_connect = a->connects < ATTEMPT_CONNECTS_MAX;
        if (a->address_count > 0 && may_connect) {
            a->floor = a->decision.floor;
            a->use_tls = a->decision.use_tls;
            a->failed_before = false;
            attempt_connect(a, a->addresses, a->address_count);
            return;
        }
        if (a->next >= a->plan->route.count || !may_connect) {
            attempt_over(a);
            return;
        }
        a->address_count = 0;
        if (open_candidate(a))
            return;
    }
}

/* --- the session as secure as it will be */

/* Decides about the session, and writes down and reports what it came to. */
static void judge_session(struct attempt *a, const struct dialogue_facts *facts)
{
    struct worker *worker = worker_of(a);
    struct sts_facts f = plan_facts(a->plan, a->candidate);
    bool strict = a->floor == TLS_FLOOR_STRICT && facts->tls == SESSION_TLS_ON &&
                  facts->session.cert == CERT_OK;

    f.tls = facts->tls;
    f.floor = a->floor;
    f.cert = facts->session.cert;
    f.failed_before = a->failed_before;
    a->decision = sts_decide_session(f);
    a->is_judged = true;
    session_describe(a->session, mx_of(a), strict, worker->trust_generation);
    add_line(a, a->decision.reason);
    line_session(a);
    log_session(a, facts);
    if (a->decision.report)
        report_session(worker->reports, a->plan, mx_of(a), &a->decision, facts);
}

static bool on_judge(void *ctx, struct dialogue *d)
{
    struct attempt *a = ctx;

    judge_session(a, dialogue_facts(d));
    return a->decision.deliver;
}

static void on_ready(void *ctx, struct dialogue *d)
{
    struct attempt *a = ctx;

    a->was_ready = true;
    a->is_sent = true;
    session_wait(a->session, false);
    dialogue_send(d, a->job);
}

/* After a failed handshake: a lower floor, or clear, if nothing forbids; on a new connection. */
static bool connect_again(struct attempt *a, enum session_tls how, const struct ip_address *address)
{
    if (a->connects >= ATTEMPT_CONNECTS_MAX)
        return false;
    if (how == SESSION_TLS_REFUSED && a->decision.clear_allowed)
        a->use_tls = false;
    else if (how == SESSION_TLS_REFUSED || !sts_decide_again(&a->decision, &a->floor, &a->use_tls))
        return false;
    a->failed_before = true;
    attempt_connect(a, address, 1);
    return true;
}

static void without_tls(struct attempt *a, const struct dialogue_facts *facts,
                        const struct dialogue_end *end)
{
    struct ip_address address = facts->remote.address;
    enum session_tls how = facts->tls;
    char detail[VERDICT_WORDS_SIZE / 2];

    judge_session(a, facts);
    a->session->dialogue = NULL; /* it frees itself */
    line_of(a)->reply = job_keep(a->job, end->words);
    if (connect_again(a, how, &address))
        return;
    if (a->decision.clear_allowed) { /* only the bound on connects stands in the way */
        settle_open(a, &end->outcome, end->words, end->remote);
        attempt_walk(a);
        return;
    }
    snprintf(detail, sizeof(detail), "%.*s", (int)end->words.len, end->words.data);
    settle_policy(a, detail);
    attempt_walk(a);
}

/* --- the message under way */

static struct job *on_next(void *ctx, struct dialogue *d)
{
    struct attempt *a = ctx;
    struct job *job = lane_next_for(a->lane, a->session);

    (void)d;
    if (!job)
        return NULL;
    a->follower = attempt_new(a->lane, job);
    a->follower->is_follower = true;
    return job;
}

/* A session that is already open: its line in the record of one more message. */
static void join_session(struct attempt *a, struct session *session)
{
    a->session = session;
    a->is_follower = false;
    a->is_reused = true;
    a->is_sent = a->is_judged = a->was_ready = true;
    for (unsigned i = 0; i < a->plan->route.count; i++)
        if (span_equal_nocase(span_of(a->plan->route.candidates[i].name), span_of(session->key.mx)))
            a->candidate = i;
    a->next = a->candidate + 1;
    add_line(a, "");
    line_session(a);
    dialogue_bind(session->dialogue, &attempt_events, a);
}

static void hand_to_follower(struct attempt *a)
{
    struct attempt *follower = a->follower;
    struct session *session = a->session;

    a->follower = NULL;
    a->session = NULL;
    join_session(follower, session);
    if (!follower->is_doomed)
        return;
    dialogue_free(&session->dialogue); /* its content will never come */
    attempt_discard(follower);
}

/* The follower's message has not begun: it is begun anew. */
static void release_follower(struct attempt *a)
{
    struct attempt *follower = a->follower;

    a->follower = NULL;
    if (follower && follower->is_doomed)
        attempt_discard(follower);
    else if (follower)
        attempt_requeue(follower, 0);
}

/* What the candidate's line says of the whole message: the best that came of a recipient. */
static void line_result(struct attempt *a, enum stage stage)
{
    const struct job_result *best = &a->job->results[0];

    for (unsigned i = 1; i < a->job->envelope.recipient_count; i++)
        if (a->job->results[i].is_given && a->job->results[i].kind < best->kind)
            best = &a->job->results[i];
    if (!best->is_given)
        return;
    line_of(a)->verdict = verdict_of_end(stage, best->kind);
    line_of(a)->reply = best->reply;
}

static void go_on_elsewhere(struct attempt *a)
{
    if (dialogue_is_idle(a->session->dialogue))
        dialogue_quit(&a->session->dialogue);
    else
        dialogue_free(&a->session->dialogue);
    a->address_count = 0;
    attempt_walk(a);
}

static void on_finished(void *ctx, struct dialogue *d, struct job *job, enum mail_end end)
{
    struct attempt *a = ctx;
    bool has_follower = a->follower != NULL;

    line_result(a, STAGE_DOT);
    a->is_reused = false;
    if (has_follower)
        hand_to_follower(a);
    if (end == MAIL_DONE)
        attempt_over(a);
    else if (end == MAIL_AGAIN && !has_follower && !dialogue_is_spent(d))
        dialogue_send(d, job);
    else if (end == MAIL_ELSEWHERE && !has_follower)
        go_on_elsewhere(a);
    else
        attempt_requeue(a, end == MAIL_AGAIN ? 0 : a->next);
}

/* An idle session may have died of age; the message is not to blame, nor the host. */
static void begin_anew(struct attempt *a)
{
    a->is_reused = false;
    a->was_ready = false;
    a->next = 0;
    a->address_count = 0;
    line_of(a)->verdict = "session was stale";
    attempt_walk(a);
}

static void on_ended(void *ctx, struct dialogue *d, const struct dialogue_end *end)
{
    struct attempt *a = ctx;
    const struct dialogue_facts *facts = dialogue_facts(d);

    if (end->stage == STAGE_HANDSHAKE) {
        without_tls(a, facts, end);
        return;
    }
    a->session->dialogue = NULL; /* it frees itself */
    release_follower(a);
    if (!a->is_judged) {
        add_line(a, "");
        line_address(a, &facts->remote.address);
    }
    line_of(a)->verdict = verdict_of_end(end->stage, end->outcome.kind);
    line_of(a)->reply = job_keep(a->job, end->words);
    if (end->refused)
        settle_policy(a, facts->tls == SESSION_TLS_ON ? facts->session.cert_reason : "");
    else if (!a->is_sent)
        settle_open(a, &end->outcome, end->words, end->remote);
    if (job_open_count(a->job) == 0)
        attempt_over(a);
    else if (a->is_reused && end->stage <= STAGE_DATA)
        begin_anew(a);
    else {
        if (a->is_sent)
            a->address_count = 0; /* a host that was fit for mail: on to the next one */
        attempt_walk(a);
    }
}

static const struct dialogue_events attempt_events = {
    .judge = on_judge,
    .ready = on_ready,
    .next = on_next,
    .finished = on_finished,
    .ended = on_ended,
};

/* --- what lane and deliver call */

void attempt_start(struct lane *lane, struct job *job)
{
    struct attempt *a = attempt_new(lane, job);

    a->session = session_new(lane);
    session_wait(a->session, true);
    attempt_walk(a);
}

void attempt_start_over(struct lane *lane, struct job *job, struct session **session)
{
    struct attempt *a = attempt_new(lane, job);
    struct session *s = *session;

    *session = NULL;
    session_move(s, lane);
    join_session(a, s);
    dialogue_send(s->dialogue, job);
}

bool attempt_needs(const struct lane *lane, const struct plan *plan, unsigned candidate,
                   struct pool_key *out)
{
    const char *mx = plan->route.candidates[candidate].name;
    struct sts_decision d = sts_decide_candidate(plan_facts(plan, candidate));

    *out = (struct pool_key){ .trust_generation = lane->worker->trust_generation };
    out->remote.port = plan->target.port;
    snprintf(out->mx, sizeof(out->mx), "%s", mx);
    if (d.must_verify) {
        out->assurance = ASSURANCE_VERIFIED;
        snprintf(out->identity, sizeof(out->identity), "%s", mx);
    } else if (!d.clear_allowed) {
        out->assurance = ASSURANCE_ENCRYPTED;
    }
    return d.deliver;
}

/* The final dot is out and we go: RFC 5321 s.6.1, it may have been delivered. */
static void attempt_leave_unknown(struct attempt *a)
{
    struct outcome o = outcome_of_loss(STAGE_DOT, LOSS_TIMEOUT);

    job_settle(a->job, RECIPIENT_ACCEPTED, &o,
               SPAN("the relay stopped before the answer to the message came"), false);
    a->job->dot_is_out = false;
    dialogue_free(&a->session->dialogue);
    line_result(a, STAGE_DOT);
    attempt_over(a);
}

static bool is_to_drop(const struct attempt *a, enum drop which)
{
    if (a->is_follower)
        return false; /* goes with its leader */
    return which == DROP_ALL || (which == DROP_UNSENT && !a->job->dot_is_out) ||
           (which == DROP_CONNECTING && !a->is_sent);
}

static void drop_one(struct attempt *a)
{
    struct attempt *follower = a->follower;
    bool dot_is_out = a->job->dot_is_out;

    a->follower = NULL;
    if (a->session)
        dialogue_free(&a->session->dialogue);
    if (follower)
        attempt_discard(follower);
    if (dot_is_out)
        attempt_leave_unknown(a);
    else
        attempt_discard(a);
}

static struct attempt *first_to_drop(struct lane *lane, enum drop which)
{
    struct attempt *a;

    LIST_EACH(a, &lane->attempts, struct attempt, others)
    if (is_to_drop(a, which))
        return a;
    return NULL;
}

void attempt_drop(struct lane *lane, enum drop which)
{
    struct attempt *a;

    while ((a = first_to_drop(lane, which)) != NULL)
        drop_one(a);
    if (which == DROP_UNSENT)
        LIST_EACH(a, &lane->attempts, struct attempt, others)
    if (a->is_follower)
        a->is_doomed = true;
}
