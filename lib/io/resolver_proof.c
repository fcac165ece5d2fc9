#include "lib/io/resolver_proof.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"

enum {
    QUESTIONS_WAIT_MS = 10 * SECOND_MS, /* for the first proof, at most */
    NEXT_MS = 10 * MINUTE_MS,           /* from one proof to the next */
    AGAIN_FIRST_MS = 1 * SECOND_MS,     /* after one that showed nothing; doubled each time */
    AGAIN_MAX_MS = 30 * SECOND_MS,
    RANDOM_LABEL = 16,
    REASON_SIZE = 160,
};

enum proof_state { STATE_STARTING, STATE_ON, STATE_OFF };

struct examinee;
struct question {
    struct examinee *of;
    struct resolver_query *query;
    struct proof_fact *fact;
};

/* A server of the resolver. */
struct examinee {
    struct resolver_proof *proof;
    unsigned server;
    struct proof_facts facts;
    struct question root, denial, bogus;
};

struct resolver_proof {
    struct loop *loop;
    struct resolver *resolver;
    struct loop_timer *next;
    struct loop_timer *patience; /* of the questions that wait */
    char bogus_name[SETTINGS_NAME_SIZE];

    struct examinee servers[SETTINGS_RESOLVERS_MAX];
    unsigned count;
    unsigned under_way; /* questions */

    enum proof_state state;
    char reason[REASON_SIZE]; /* why it is off, or was not shown last time; "" */
    int64_t since_utc_ms;
    int64_t checked_utc_ms; /* 0: never */
    int64_t again_ms;
    int64_t told_ms; /* in the log, last; of the loop */
};

/* ---- what the answers say ----------------------------------------------------------------- */

static enum proof_verdict judge_root(struct proof_fact root, const char **out_reason)
{
    *out_reason = "the root's DNSKEY cannot be looked up";
    if (root.outcome == DNS_TEMPFAIL)
        return PROOF_IS_OPEN;
    *out_reason = root.outcome == DNS_ANSWER
                      ? "the resolver does not validate: the root's DNSKEY comes without AD"
                      : "the resolver does not validate: it knows no DNSKEY of the root";
    return root.outcome == DNS_ANSWER && root.secure ? PROOF_HOLDS : PROOF_FAILS;
}

static enum proof_verdict judge_denial(struct proof_fact denial, const char **out_reason)
{
    *out_reason = "a top-level name that nobody has cannot be looked up";
    if (denial.outcome == DNS_TEMPFAIL)
        return PROOF_IS_OPEN;
    *out_reason =
        denial.outcome == DNS_NXDOMAIN
            ? "the resolver does not validate: it denies a top-level name without AD"
            : "the resolver does not validate: it answers for a top-level name that nobody has";
    return denial.outcome == DNS_NXDOMAIN && denial.secure ? PROOF_HOLDS : PROOF_FAILS;
}

static enum proof_verdict judge_bogus(struct proof_fact bogus, const char **out_reason)
{
    *out_reason = bogus.outcome == DNS_NXDOMAIN
                      ? "there is no name dnssec-bogus-name: it shows nothing"
                      : "the resolver does not validate: dnssec-bogus-name resolves";
    return !bogus.is_asked || bogus.outcome == DNS_TEMPFAIL ? PROOF_HOLDS : PROOF_FAILS;
}

enum proof_verdict resolver_proof_judge(const struct proof_facts *facts, const char **out_reason)
{
    const char *reasons[3];
    enum proof_verdict verdicts[3] = {
        judge_root(facts->root, &reasons[0]),
        judge_denial(facts->denial, &reasons[1]),
        judge_bogus(facts->bogus, &reasons[2]),
    };
    static const enum proof_verdict worst_first[] = { PROOF_FAILS, PROOF_IS_OPEN };
    for (unsigned w = 0; w < 2; w++)
        for (unsigned i = 0; i < 3; i++) {
            *out_reason = reasons[i];
            if (verdicts[i] == worst_first[w])
                return worst_first[w];
        }
    *out_reason = "";
    return PROOF_HOLDS;
}

enum resolver_standing resolver_proof_standing(enum resolver_standing before,
                                               enum proof_verdict verdict)
{
    if (verdict == PROOF_IS_OPEN) /* what was shown before stays shown */
        return before == RESOLVER_PROVEN ? RESOLVER_PROVEN : RESOLVER_IN_DOUBT;
    return verdict == PROOF_HOLDS ? RESOLVER_PROVEN : RESOLVER_UNPROVEN;
}

/* ---- what comes of it --------------------------------------------------------------------- */

static void say_reason(struct resolver_proof *proof, const char *reason)
{
    snprintf(proof->reason, sizeof(proof->reason), "%s", reason);
}

static void tell(struct resolver_proof *proof)
{
    struct log_line line;
    proof->told_ms = loop_now(proof->loop);
    if (proof->state == STATE_ON) {
        log_event(LOG_INFO, "dnssec-proven");
        return;
    }
    log_begin(&line, LOG_WARNING, "dnssec-off");
    log_string(&line, "reason", proof->reason);
    log_end(&line);
}

/* Said when it changes, and again from time to time as long as it is off. */
static void take(struct resolver_proof *proof, enum resolver_standing standing)
{
    enum proof_state state = standing == RESOLVER_PROVEN ? STATE_ON : STATE_OFF;
    bool is_news = state != proof->state;
    if (is_news) {
        proof->state = state;
        proof->since_utc_ms = clock_utc_ms();
    }
    resolver_set_standing(proof->resolver, standing);
    if (is_news || (state == STATE_OFF && loop_now(proof->loop) - proof->told_ms >= NEXT_MS))
        tell(proof);
}

/* Which server it is about, where there are several. */
static void take_reason(struct resolver_proof *proof, const struct examinee *of, const char *reason)
{
    struct endpoint server = resolver_server(proof->resolver, of->server);
    char address[NETWORK_TEXT_SIZE];
    endpoint_format(&server, address);
    bool is_one = proof->count == 1 || reason[0] == '\0';
    snprintf(proof->reason, sizeof(proof->reason), "%s%s%s", reason, is_one ? "" : ", at ",
             is_one ? "" : address);
}

/* Trouble shows nothing of a server, neither way. */
static void note(const struct examinee *of, enum proof_verdict verdict)
{
    if (verdict != PROOF_IS_OPEN)
        resolver_set_doubted(of->proof->resolver, of->server, verdict == PROOF_FAILS);
}

/* The worst that any of them shows; those that show nothing have a say only when all do. */
static enum proof_verdict judge_all(struct resolver_proof *proof)
{
    enum proof_verdict all = PROOF_IS_OPEN;
    for (unsigned i = 0; i < proof->count; i++) {
        const char *reason = "";
        enum proof_verdict one = resolver_proof_judge(&proof->servers[i].facts, &reason);
        bool counts = all == PROOF_IS_OPEN || one == PROOF_FAILS;
        note(&proof->servers[i], one);
        if (!counts)
            continue;
        take_reason(proof, &proof->servers[i], reason);
        all = one;
        if (one == PROOF_FAILS)
            break;
    }
    return all;
}

static int64_t next_wait(struct resolver_proof *proof, enum proof_verdict verdict)
{
    int64_t wait_ms = proof->again_ms;
    if (verdict != PROOF_IS_OPEN) {
        proof->again_ms = AGAIN_FIRST_MS;
        return NEXT_MS;
    }
    proof->again_ms = 2 * wait_ms < AGAIN_MAX_MS ? 2 * wait_ms : AGAIN_MAX_MS;
    return wait_ms;
}

static void conclude(struct resolver_proof *proof)
{
    enum proof_verdict verdict = judge_all(proof);
    enum resolver_standing before = proof->state == STATE_ON ? RESOLVER_PROVEN : RESOLVER_UNPROVEN;
    loop_timer_cancel(proof->patience);
    proof->checked_utc_ms = clock_utc_ms();
    take(proof, resolver_proof_standing(before, verdict));
    loop_timer_start(proof->next, next_wait(proof, verdict));
}

/* ---- a proof ------------------------------------------------------------------------------ */

static void on_answer(void *ctx, const struct dns_answer *answer)
{
    struct question *question = ctx;
    struct resolver_proof *proof = question->of->proof;
    question->query = NULL;
    question->fact->outcome = answer->outcome;
    question->fact->secure = answer->secure;
    if (--proof->under_way == 0)
        conclude(proof);
}

static void ask(struct question *question, struct span name, enum dns_type type)
{
    struct resolver_proof *proof = question->of->proof;
    question->fact->is_asked = true;
    question->query = resolver_ask_for_proof(proof->resolver, question->of->server, name, type,
                                             on_answer, question);
    proof->under_way++;
}

/* No server has it in its cache, and none is delegated. */
static void random_name(char name[RANDOM_LABEL + 1])
{
    for (unsigned i = 0; i < RANDOM_LABEL; i++)
        name[i] = (char)('a' + random_below(26));
    name[RANDOM_LABEL] = '\0';
}

/* SOA for the denial: some resolvers answer addresses of single labels by themselves. */
static void examine(struct examinee *of, const char *nobody)
{
    const char *bogus_name = of->proof->bogus_name;
    of->facts = (struct proof_facts){ .bogus.is_asked = false };
    ask(&of->root, SPAN("."), DNS_DNSKEY);
    ask(&of->denial, span_of(nobody), DNS_SOA);
    if (bogus_name[0] != '\0')
        ask(&of->bogus, span_of(bogus_name), DNS_A);
}

static void begin(struct resolver_proof *proof)
{
    char nobody[RANDOM_LABEL + 1];
    random_name(nobody);
    proof->count = resolver_server_count(proof->resolver);
    for (unsigned i = 0; i < proof->count; i++)
        examine(&proof->servers[i], nobody);
}

static void on_next(void *ctx)
{
    begin(ctx);
}

/* DNS is back, or was never away: an answer waits to know whether it is secure. */
static void on_wanted(void *ctx)
{
    struct resolver_proof *proof = ctx;
    loop_timer_start(proof->patience, QUESTIONS_WAIT_MS);
    if (proof->under_way > 0)
        return;
    loop_timer_cancel(proof->next);
    begin(proof);
}

/* It goes on, and may still come to something. */
static void on_patience_ended(void *ctx)
{
    struct resolver_proof *proof = ctx;
    say_reason(proof, "the resolver takes too long to show that it validates");
    take(proof, RESOLVER_IN_DOUBT);
}

static void cancel(struct resolver_proof *proof)
{
    for (unsigned i = 0; i < SETTINGS_RESOLVERS_MAX; i++) {
        resolver_cancel(&proof->servers[i].root.query);
        resolver_cancel(&proof->servers[i].denial.query);
        resolver_cancel(&proof->servers[i].bogus.query);
    }
    proof->under_way = 0;
    loop_timer_cancel(proof->next);
    loop_timer_cancel(proof->patience);
}

void resolver_proof_start(struct resolver_proof *proof, const char *bogus_name)
{
    cancel(proof);
    snprintf(proof->bogus_name, sizeof(proof->bogus_name), "%s", bogus_name);
    proof->state = STATE_STARTING;
    say_reason(proof, "not shown yet");
    proof->since_utc_ms = clock_utc_ms();
    proof->checked_utc_ms = 0;
    proof->again_ms = AGAIN_FIRST_MS;
    if (!resolver_is_trusted(proof->resolver)) {
        say_reason(proof, "the resolver is not on this machine: its word on DNSSEC is not trusted");
        take(proof, RESOLVER_UNPROVEN);
        return;
    }
    for (unsigned i = 0; i < resolver_server_count(proof->resolver); i++)
        resolver_set_doubted(proof->resolver, i, true); /* until it has shown it */
    resolver_set_standing(proof->resolver, RESOLVER_ON_PROOF);
    loop_timer_start(proof->patience, QUESTIONS_WAIT_MS);
    begin(proof);
}

static void examinee_init(struct examinee *of, struct resolver_proof *proof, unsigned server)
{
    of->proof = proof;
    of->server = server;
    of->root = (struct question){ of, NULL, &of->facts.root };
    of->denial = (struct question){ of, NULL, &of->facts.denial };
    of->bogus = (struct question){ of, NULL, &of->facts.bogus };
}

struct resolver_proof *resolver_proof_new(struct loop *loop, struct resolver *resolver)
{
    struct resolver_proof *proof = memory_new(sizeof(*proof));
    proof->loop = loop;
    proof->resolver = resolver;
    say_reason(proof, "not shown yet");
    proof->next = loop_timer_new(loop, on_next, proof);
    proof->patience = loop_timer_new(loop, on_patience_ended, proof);
    resolver_on_proof_wanted(resolver, on_wanted, proof);
    for (unsigned i = 0; i < SETTINGS_RESOLVERS_MAX; i++)
        examinee_init(&proof->servers[i], proof, i);
    return proof;
}

void resolver_proof_free(struct resolver_proof **proof)
{
    struct resolver_proof *p = *proof;
    *proof = NULL;
    if (!p)
        return;
    cancel(p);
    resolver_on_proof_wanted(p->resolver, NULL, NULL);
    loop_timer_free(&p->next);
    loop_timer_free(&p->patience);
    free(p);
}

/* ---- for operators ------------------------------------------------------------------------ */

const char *resolver_proof_trouble(const struct resolver_proof *proof)
{
    return proof->state == STATE_ON ? "" : proof->reason;
}

static void add_time(struct json *object, const char *key, int64_t utc_ms)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format_rfc3339(utc_ms, text);
    if (utc_ms > 0)
        json_add_string(object, key, text);
    else
        json_add_null(object, key);
}

struct json *resolver_proof_json(const struct resolver_proof *proof)
{
    static const char *const states[] = {
        [STATE_STARTING] = "starting",
        [STATE_ON] = "on",
        [STATE_OFF] = "off",
    };
    struct json *object = json_new_object();
    json_add_string(object, "state", states[proof->state]);
    json_add_string(object, "reason", proof->reason[0] != '\0' ? proof->reason : NULL);
    add_time(object, "since", proof->since_utc_ms);
    add_time(object, "checked", proof->checked_utc_ms);
    return object;
}
