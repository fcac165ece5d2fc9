#include "queue/deliver/attempt_private.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "queue/deliver/level.h"
#include "queue/deliver/relief.h"
#include "queue/deliver/verdict.h"

static void log_certificate(struct log_line *line, const struct tls_session *tls)
{
    char expires[CLOCK_TEXT_SIZE] = "";

    if (tls && tls->cert != CERT_NONE)
        clock_format_rfc3339(tls->not_after_utc_ms, expires);
    log_string(line, "subject", tls ? tls->subject : "");
    log_string(line, "names", tls ? tls->names : "");
    log_string(line, "issuer", tls ? tls->issuer : "");
    log_string(line, "expires", expires);
    log_string(line, "key", tls ? tls->key_sha256 : "");
    log_string(line, "verify", tls ? level_verify_word(tls) : "");
}

static void log_session(const struct attempt *a, const struct dialogue_facts *facts)
{
    struct log_line line;
    bool secure = facts->tls == SESSION_TLS_ON;

    log_begin(&line, LOG_INFO, "session");
    log_qid(&line, a->job->id);
    log_string(&line, "route", a->job->route);
    log_string(&line, "mx", attempt_mx(a));
    log_string(&line, "address", a->session->address);
    log_string(&line, "tls", a->session->tls);
    log_string(&line, "version", secure ? facts->session.version : "");
    log_string(&line, "cipher", secure ? facts->session.cipher : "");
    log_string(&line, "group", secure ? facts->session.group : "");
    log_string(&line, "resumed", secure && facts->session.resumed ? "yes" : "no");
    log_certificate(&line, secure ? &facts->session : NULL);
    log_string(&line, "wanted", level_wanted(&a->decision));
    log_string(&line, "level", a->session->level);
    log_string(&line, "result", tls_result_name(a->decision.result));
    log_string(&line, "reason", a->decision.reason);
    log_end(&line);
}

/* --- the session as secure as it will be */

static void note_relief(struct attempt *a)
{
    a->job->relief_needed =
        a->decision.deliver &&
        (a->tlsa_failed || relief_is_needed(attempt_facts_now(a), &a->session->key));
}

/* Decides about the session, and writes down and reports what it came to; `said`: why no TLS. */
static void judge_session(struct attempt *a, const struct dialogue_facts *facts, const char *said)
{
    struct sts_facts f = attempt_facts_now(a);

    f.tls = facts->tls;
    f.floor = a->rung.floor;
    f.cert = facts->session.cert;
    f.failed_before = a->failed_before;
    f.is_listed = target_lists(&a->plan->target, &facts->session);
    a->decision = sts_decide_session(f);
    a->is_judged = true;
    session_describe(a->session, attempt_mx(a), a->rung.floor, a->trust_generation);
    a->session->level = level_reached(&a->decision, &f);
    target_chooser(&a->plan->target, a->session->key.chooser);
    attempt_mark_session(a, facts);
    note_relief(a);
    attempt_add_line(a, a->decision.reason);
    attempt_line_session(a);
    log_session(a, facts);
    if (a->decision.report && !a->tlsa_failed) /* that was counted, and other mail stops there */
        attempt_report(a, a->tlsa, facts, said);
}

static bool on_judge(void *ctx, struct dialogue *d)
{
    struct attempt *a = ctx;

    judge_session(a, dialogue_facts(d), "");
    if (dialogue_facts(d)->tls == SESSION_TLS_ON)
        host_slot_learned(a->session->slot, ladder_lesson(&a->rung));
    return a->decision.deliver;
}

static void on_ready(void *ctx, struct dialogue *d)
{
    struct attempt *a = ctx;

    a->was_ready = true;
    attempt_line(a)->auth = dialogue_facts(d)->auth;
    a->is_sent = true;
    host_slot_stands(a->session->slot);
    session_wait(a->session, false);
    dialogue_send(d, a->job);
}

/* After a failed handshake: a lower floor, or clear, if nothing forbids; on a new connection. */
static bool connect_again(struct attempt *a, enum session_tls how, const struct ip_address *address)
{
    if (!attempt_may_connect(a))
        return false;
    if (how == SESSION_TLS_REFUSED && a->decision.clear_allowed)
        a->rung.use_tls = false;
    else if (how == SESSION_TLS_REFUSED || !ladder_lower(&a->rung, &a->decision))
        return false;
    a->failed_before = true;
    attempt_connect(a, address, 1);
    return true;
}

/* The host may have stumbled over the session we wanted to resume: the same once more, in full. */
static bool connect_in_full(struct attempt *a, const struct dialogue_facts *facts)
{
    struct ip_address address = facts->remote.address;

    if (facts->tls != SESSION_TLS_FAILED || !facts->past_was_offered || !attempt_may_connect(a))
        return false;
    a->session->dialogue = NULL; /* it frees itself */
    a->in_full = true;
    attempt_connect(a, &address, 1);
    return true;
}

/* Or over what our hello offers: the same once more, with less of that; nothing is judged yet. */
static bool connect_saying_less(struct attempt *a, const struct dialogue_facts *facts)
{
    struct ip_address address = facts->remote.address;

    if (facts->tls != SESSION_TLS_FAILED || !attempt_may_connect(a) ||
        !ladder_say_less(&a->rung, attempt_worker(a)->hellos_differ))
        return false;
    a->session->dialogue = NULL; /* it frees itself */
    attempt_connect(a, &address, 1);
    return true;
}

static void without_tls(struct attempt *a, const struct dialogue_facts *facts,
                        const struct dialogue_end *end)
{
    struct ip_address address = facts->remote.address;
    enum session_tls how = facts->tls;
    const char *said;
    char detail[VERDICT_WORDS_SIZE / 2];

    if (connect_in_full(a, facts) || connect_saying_less(a, facts))
        return;
    said = job_keep(a->job, end->words);
    judge_session(a, facts, said);
    a->session->dialogue = NULL; /* it frees itself */
    attempt_line(a)->reply = said;
    if (connect_again(a, how, &address))
        return;
    a->blames_hop = true;
    if (a->decision.clear_allowed) { /* only the bounds stand in the way */
        attempt_settle(a, &end->outcome, end->words, end->remote);
        attempt_walk(a);
        return;
    }
    snprintf(detail, sizeof(detail), "%.*s", (int)end->words.len, end->words.data);
    attempt_settle_policy(a, detail);
    attempt_walk(a);
}

/* --- the message under way */

static struct job *on_next(void *ctx, struct dialogue *d)
{
    struct attempt *a = ctx;
    bool is_refused = host_slot_is_refused(a->session->slot);
    struct job *job = is_refused ? NULL : lane_next_for(a->lane, a->session);

    (void)d;
    if (!job)
        return NULL;
    a->follower = attempt_new(a->lane, job);
    a->follower->is_follower = true;
    return job;
}

/* The candidate that the session is with, among those of one host of the route. */
static bool find_candidate(struct attempt *a, unsigned place, const struct pool_key *key)
{
    attempt_take_plan(a, place);
    if (!relief_plan_is_open(a->job, a->plan, clock_utc_ms()) ||
        a->plan->target.port != key->remote.port)
        return false;
    while (a->next < a->plan->route.count) {
        a->candidate = a->order[a->next++];
        if (span_equal_nocase(span_of(attempt_mx(a)), span_of(key->mx)))
            return true;
    }
    return false;
}

void attempt_join(struct attempt *a, struct session *session)
{
    a->session = session;
    a->is_follower = false;
    a->is_reused = true;
    a->is_sent = a->is_judged = a->was_ready = true;
    for (unsigned place = 0; !find_candidate(a, place, &session->key);)
        if (++place == a->plans->count)
            break;
    attempt_take_tlsa(a, session->tlsa, "");
    a->decision = sts_decide_candidate(attempt_facts_now(a)); /* should it connect to it again */
    a->rung = ladder_begin(&a->decision, LESSON_NONE);
    note_relief(a);
    attempt_add_line(a, "");
    attempt_line_session(a);
    dialogue_bind(session->dialogue, &attempt_events, a);
}

static void hand_to_follower(struct attempt *a)
{
    struct attempt *follower = a->follower;
    struct session *session = a->session;

    a->follower = NULL;
    a->session = NULL;
    attempt_join(follower, session);
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

    if (job->refusal)
        host_slot_refused(a->session->slot, span_of(job->refusal));
    attempt_line_result(a, STAGE_DOT);
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
        attempt_requeue(a, end == MAIL_AGAIN ? 0 : attempt_position(a));
}

/* The same address, and the message by DATA. */
static bool connect_without_chunking(struct attempt *a, const struct ip_address *address)
{
    a->no_chunking = true;
    if (a->is_reused || !attempt_may_connect(a))
        return false;
    attempt_connect(a, address, 1);
    return true;
}

/* An idle session may have died of age; the message is not to blame, nor the host. */
static void begin_anew(struct attempt *a)
{
    a->is_reused = false;
    a->was_ready = false;
    attempt_begin_at(a, 0);
    a->address_count = 0;
    attempt_line(a)->verdict = "session was stale";
    attempt_walk(a);
}

/* Said aloud, for nobody else can mend it (CLI-151). */
static void log_login_failed(const struct attempt *a, struct span said)
{
    const struct route_settings *route = a->plan->target.route;
    struct log_line line;

    log_begin(&line, LOG_WARNING, "login-failed");
    log_string(&line, "route", route->name);
    log_string(&line, "mx", attempt_mx(a));
    log_string(&line, "credentials", route->credentials);
    log_text(&line, "said", said);
    log_end(&line);
}

static void settle_login(struct attempt *a, const struct dialogue_end *end)
{
    char words[VERDICT_WORDS_SIZE];

    verdict_of_login(&a->plan->target, attempt_mx(a), end->words, words);
    log_login_failed(a, end->words);
    attempt_line(a)->reply = job_keep(a->job, span_of(words));
    attempt_settle(a, &end->outcome, span_of(words), false);
}

/*
 * Does it say that the host takes no more?  A reply to a recipient does not, nor does the end of a
 * session that lay idle.
 */
static bool is_refusal(const struct attempt *a, const struct dialogue_end *end)
{
    if (end->refused || end->is_ours || a->is_reused || end->outcome.kind != OUTCOME_DEFERRED)
        return false;
    return end->stage <= STAGE_EHLO ||
           (end->remote &&
            (end->stage == STAGE_MAIL || span_starts_with_nocase(end->words, SPAN("421"))));
}

static void on_ended(void *ctx, struct dialogue *d, const struct dialogue_end *end)
{
    struct attempt *a = ctx;
    const struct dialogue_facts *facts = dialogue_facts(d);
    struct ip_address address = facts->remote.address;

    if (end->stage == STAGE_HANDSHAKE) {
        without_tls(a, facts, end);
        return;
    }
    a->session->dialogue = NULL; /* it frees itself */
    release_follower(a);
    if (is_refusal(a, end))
        attempt_refused(a, end->words);
    if (!a->is_judged) {
        attempt_add_line(a, "");
        attempt_line_address(a, &address);
    }
    attempt_line(a)->verdict = verdict_of_end(end->stage, end->outcome.kind);
    attempt_line(a)->reply = job_keep(a->job, end->words);
    if (end->no_chunking && connect_without_chunking(a, &address))
        return;
    a->blames_hop = a->blames_hop || !a->is_sent;
    if (end->login_failed)
        settle_login(a, end);
    else if (end->refused)
        attempt_settle_policy(a, facts->tls == SESSION_TLS_ON ? facts->session.cert_reason : "");
    else if (!a->is_sent)
        attempt_settle(a, &end->outcome, end->words, end->remote);
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

const struct dialogue_events attempt_events = {
    .judge = on_judge,
    .ready = on_ready,
    .next = on_next,
    .finished = on_finished,
    .ended = on_ended,
};
