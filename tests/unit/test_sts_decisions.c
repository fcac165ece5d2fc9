/*
 * Whole decisions: the known answers of tests/vectors/sts_decisions.json, played through refresh,
 * mx_match and decide as the role and deliver put them together.  Those about DANE and TLS-Required
 * wait for the modules that will decide them and are not counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/base/memory.h"
#include "policy/decide.h"
#include "policy/mx_match.h"
#include "policy/refresh.h"

static const char file_name[] = "tests/vectors/sts_decisions.json";

/* A policy as given in a vector, cached or to be fetched. */
struct given_policy {
    bool there;
    char id[STS_ID_MAX + 1];
    enum sts_mode mode;
    uint32_t max_age_s;
    const struct json *mx;
    int64_t fetched_utc_ms;
};

/* What is counted under one policy type. */
struct tally {
    unsigned success;
    unsigned failure;
    bool seen[TLS_RESULT_COUNT];
};

struct play {
    const struct json *given;
    const struct json *expect;
    bool literal; /* an address literal: no policy domain */
    struct sts_txt txt;
    struct sts_situation situation;
    struct given_policy cached;
    struct given_policy fetched;
    bool fetch_tried;
    enum tls_result fetch_result;
    enum sts_step step; /* in the end: never FETCH */
    char actions[8][16];
    unsigned action_count;
    const char *message;
    const char *status;      /* with REQUIRETLS, of what was refused last */
    struct tally tallies[2]; /* no-policy-found, sts */
};

static bool is_kind(const struct json *value, enum json_kind kind)
{
    return value && json_kind_of(value) == kind;
}

static bool text_is(const struct json *value, const char *text)
{
    return span_equal(json_text(value), span_of(text));
}

/* "2026-03-10T12:00:00Z" */
static int64_t time_of(const struct json *value)
{
    char text[32];
    unsigned h;
    unsigned m;
    unsigned s;
    int64_t day;
    assert_true(span_to_string(json_text(value), text, sizeof(text)));
    assert_int_equal(sscanf(text + 10, "T%u:%u:%uZ", &h, &m, &s), 3);
    text[10] = '\0';
    assert_true(clock_parse_day(text, &day));
    return day + (int64_t)((h * 60 + m) * 60 + s) * SECOND_MS;
}

static struct given_policy policy_of(const struct json *value)
{
    struct given_policy policy = { .there = is_kind(value, JSON_KIND_OBJECT) };
    if (!policy.there)
        return policy;
    span_to_string(json_text(json_get(value, "id")), policy.id, sizeof(policy.id));
    assert_true(sts_mode_parse(json_text(json_get(value, "mode")), &policy.mode));
    policy.max_age_s = (uint32_t)json_number(json_get(value, "max_age"));
    policy.mx = json_get(value, "mx");
    if (json_get(value, "fetched_at"))
        policy.fetched_utc_ms = time_of(json_get(value, "fetched_at"));
    return policy;
}

static struct sts_txt txt_of(const struct json *txt)
{
    static const struct {
        const char *name;
        enum sts_txt_verdict verdict;
    } results[] = {
        { "record", STS_TXT_VALID },           { "absent", STS_TXT_NO_RECORD },
        { "invalid_record", STS_TXT_INVALID }, { "multiple_records", STS_TXT_MULTIPLE },
        { "servfail", STS_TXT_DNS_ERROR },     { "timeout", STS_TXT_DNS_ERROR },
    };
    struct sts_txt out = { 0 };
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
        if (text_is(json_get(txt, "result"), results[i].name))
            out.verdict = results[i].verdict;
    span_to_string(json_text(json_get(txt, "id")), out.id, sizeof(out.id));
    return out;
}

/* What the fetch of a vector comes to; SUCCESS with a policy. */
static enum tls_result fetch(const struct json *https, struct given_policy *out)
{
    const struct json *result = json_get(https, "result");
    if (text_is(result, "policy")) {
        *out = policy_of(https);
        return TLS_RESULT_SUCCESS;
    }
    if (text_is(result, "bad_certificate"))
        return TLS_RESULT_STS_WEBPKI_INVALID;
    if (text_is(result, "invalid_body") || text_is(result, "content_type"))
        return TLS_RESULT_STS_POLICY_INVALID;
    return TLS_RESULT_STS_POLICY_FETCH_ERROR;
}

static void read_situation(struct play *p, char *failed_id, size_t size)
{
    const struct json *failed = json_get(p->given, "last_failed_fetch");
    struct sts_situation *s = &p->situation;
    p->cached = policy_of(json_get(p->given, "cache"));
    p->txt = txt_of(json_get(p->given, "txt"));
    *s = (struct sts_situation){
        .cached = p->cached.there,
        .cached_id = p->cached.id,
        .mode = p->cached.mode,
        .fetched_utc_ms = p->cached.fetched_utc_ms,
        .max_age_s = p->cached.max_age_s,
        .tried = true,
        .txt = &p->txt,
        .fresh = !text_is(json_get(p->given, "event"), "delivery"),
        .now_utc_ms = time_of(json_get(p->given, "now")),
    };
    if (!failed)
        return;
    span_to_string(json_text(json_get(failed, "id")), failed_id, size);
    s->failed_id = failed_id;
    s->failed_ago_ms = s->now_utc_ms - time_of(json_get(failed, "at"));
}

static void play_discovery(struct play *p)
{
    p->step = p->literal ? STS_STEP_NO_POLICY : sts_refresh_step(&p->situation);
    if (p->step != STS_STEP_FETCH)
        return;
    p->fetch_tried = true;
    p->fetch_result = fetch(json_get(p->given, "https"), &p->fetched);
    snprintf(p->fetched.id, sizeof(p->fetched.id), "%s", sts_refresh_id(&p->situation));
    p->step =
        p->fetch_result == TLS_RESULT_SUCCESS ? STS_STEP_USE : sts_refresh_without(&p->situation);
}

static bool is_listed(const struct given_policy *policy, const struct json *host)
{
    for (size_t i = 0; i < json_count(policy->mx); i++)
        if (mx_match(json_text(host), json_text(json_item(policy->mx, i))))
            return true;
    return false;
}

static enum cert_verdict cert_of(const struct json *cert)
{
    if (text_is(cert, "ok"))
        return CERT_OK;
    if (text_is(cert, "expired"))
        return CERT_EXPIRED;
    if (text_is(cert, "name_mismatch") || text_is(cert, "expired_and_name_mismatch"))
        return CERT_HOST_MISMATCH;
    return is_kind(cert, JSON_KIND_TEXT) ? CERT_NOT_TRUSTED : CERT_NONE;
}

static enum session_tls tls_of(const struct json *starttls)
{
    if (text_is(starttls, "ok"))
        return SESSION_TLS_ON;
    if (text_is(starttls, "refused_454"))
        return SESSION_TLS_REFUSED;
    return text_is(starttls, "handshake_fails") ? SESSION_TLS_FAILED : SESSION_TLS_NOT_OFFERED;
}

static void count(struct play *p, const struct sts_decision *d)
{
    struct tally *tally = &p->tallies[d->counted_under == POLICY_SOURCE_STS];
    if (!d->report)
        return;
    tally->seen[d->result] = true;
    if (d->result == TLS_RESULT_SUCCESS)
        tally->success++;
    else
        tally->failure++;
}

static const char *action_of(const struct sts_facts *f)
{
    if (f->tls != SESSION_TLS_ON)
        return "clear";
    bool verified =
        f->source == POLICY_SOURCE_STS && f->mode != STS_NONE && f->mx_listed && f->cert == CERT_OK;
    return verified ? "tls_auth_sts" : "tls_unauth";
}

/* One candidate, with as many connections as the decisions allow; what was done with it. */
static const char *play_candidate(struct play *p, struct sts_facts f, const struct json *mx)
{
    struct sts_decision d = sts_decide_candidate(f);
    bool use_tls = d.use_tls;
    f.floor = d.floor;
    p->status = "5.7.10";
    if (!d.deliver) {
        count(p, &d);
        return "skip";
    }
    if (text_is(json_get(mx, "starttls"), "unreachable"))
        return "skip";
    for (;;) {
        f.tls = use_tls ? tls_of(json_get(mx, "starttls")) : SESSION_TLS_NOT_TRIED;
        f.cert = cert_of(json_get(mx, "cert"));
        d = sts_decide_session(f);
        count(p, &d);
        if (d.deliver && f.require_tls && !json_bool(json_get(mx, "requiretls_offered"))) {
            p->status = "5.7.30"; /* dialogue's part */
            return "skip";
        }
        if (d.deliver)
            return action_of(&f);
        f.failed_before = true;
        if (f.tls != SESSION_TLS_FAILED || !sts_decide_again(&d, &f.floor, &use_tls))
            return "skip";
    }
}

static void play_delivery(struct play *p)
{
    const struct given_policy *policy =
        p->fetch_tried && p->fetch_result == TLS_RESULT_SUCCESS ? &p->fetched : &p->cached;
    const struct json *mx = json_get(p->given, "mx");
    bool final = text_is(json_get(p->given, "event"), "final_attempt");
    bool require_tls = json_bool(json_get(json_get(p->given, "message"), "requiretls"));
    bool over = false;
    p->message = final || require_tls ? "bounced" : "deferred";
    for (size_t i = 0; i < json_count(mx); i++) {
        const struct json *candidate = json_item(mx, i);
        struct sts_facts f = { .source =
                                   p->step == STS_STEP_USE ? POLICY_SOURCE_STS : POLICY_SOURCE_NONE,
                               .mode = policy->mode,
                               .require_tls = require_tls };
        f.mx_listed =
            f.source == POLICY_SOURCE_STS && is_listed(policy, json_get(candidate, "host"));
        const char *action = over ? "not_tried" : play_candidate(p, f, candidate);
        snprintf(p->actions[p->action_count++], 16, "%s", action);
        if (strcmp(action, "skip") == 0 || over)
            continue;
        over = true;
        if (!json_get(candidate, "smtp_result"))
            p->message = "delivered";
    }
    /* A fetch that failed is told with the sessions of the mail that waited for it. */
    if (p->fetch_tried && p->fetch_result != TLS_RESULT_SUCCESS)
        p->tallies[p->step == STS_STEP_USE && policy->mode != STS_NONE].seen[p->fetch_result] =
            true;
}

/* ---- comparing --------------------------------------------------------------------------------
 */

static bool one_of(const struct json *list, const char *text)
{
    for (size_t i = 0; i < json_count(list); i++)
        if (text_is(json_item(list, i), text))
            return true;
    return false;
}

static bool number_in(const struct json *list, int64_t number)
{
    for (size_t i = 0; i < json_count(list); i++)
        if (json_number(json_item(list, i)) == number)
            return true;
    return false;
}

static bool actions_fit(const struct play *p)
{
    const struct json *attempts = json_get(p->expect, "attempts");
    for (size_t i = 0; i < json_count(attempts); i++)
        if (!one_of(json_get(json_item(attempts, i), "action"), p->actions[i]))
            return false;
    const struct json *status = json_get(p->expect, "enhanced_status");
    return (!attempts || one_of(json_get(p->expect, "message"), p->message)) &&
           (!status || one_of(status, p->status));
}

static bool fetch_fits(const struct play *p)
{
    const struct json *wanted = json_get(p->expect, "https_fetch");
    for (size_t i = 0; i < json_count(wanted); i++)
        if (json_bool(json_item(wanted, i)) == p->fetch_tried)
            return true;
    return !wanted;
}

static bool cache_fits(const struct play *p)
{
    const struct json *after = json_get(p->expect, "cache_after");
    const struct json *states = json_get(after, "state");
    bool stored = p->fetch_tried && p->fetch_result == TLS_RESULT_SUCCESS;
    if (!after)
        return true;
    if (stored)
        return one_of(states, "stored") && text_is(json_get(after, "id"), p->fetched.id) &&
               text_is(json_get(after, "mode"), sts_mode_name(p->fetched.mode)) &&
               time_of(json_get(after, "fetched_at")) == p->situation.now_utc_ms;
    if (!p->cached.there)
        return one_of(states, "absent");
    return one_of(states, sts_is_live(&p->situation) ? "unchanged" : "expired");
}

static bool tally_fits(const struct tally *tally, const struct json *wanted)
{
    const struct json *groups = json_get(wanted, "result_types");
    if (!number_in(json_get(wanted, "success"), tally->success) ||
        !number_in(json_get(wanted, "failure"), tally->failure))
        return false;
    for (size_t i = 0; i < json_count(groups); i++) {
        bool found = false;
        for (int r = 1; r < TLS_RESULT_COUNT; r++)
            found = found || (tally->seen[r] &&
                              one_of(json_item(groups, i), tls_result_name((enum tls_result)r)));
        if (!found)
            return false;
    }
    return true;
}

static bool report_fits(const struct play *p)
{
    static const char *const types[] = { "no-policy-found", "sts" };
    const struct json *report = json_get(p->expect, "report");
    const struct json *barred = json_get(p->expect, "report_must_not_include");
    for (size_t i = 0; i < json_count(report); i++) {
        const struct json *wanted = json_item(report, i);
        bool found = false;
        for (unsigned t = 0; t < 2; t++)
            found = found || (one_of(json_get(wanted, "policy_type"), types[t]) &&
                              tally_fits(&p->tallies[t], wanted));
        if (!found)
            return false;
    }
    for (int r = 1; r < TLS_RESULT_COUNT; r++)
        if ((p->tallies[0].seen[r] || p->tallies[1].seen[r]) &&
            one_of(barred, tls_result_name((enum tls_result)r)))
            return false;
    return true;
}

/* ---- all of them ------------------------------------------------------------------------------
 */

static bool is_for_later(const struct json *given)
{
    const struct json *message = json_get(given, "message");
    const struct json *mx = json_get(given, "mx");
    for (size_t i = 0; i < json_count(mx); i++) {
        const struct json *tlsa = json_get(json_item(mx, i), "tlsa");
        if (!text_is(tlsa, "none") && !text_is(tlsa, "insecure"))
            return true;
    }
    return is_kind(json_get(message, "tls_required_header"), JSON_KIND_TEXT);
}

static const char *play(const struct json *vector)
{
    char failed_id[STS_ID_MAX + 1];
    struct play p = { .given = json_get(vector, "given"), .expect = json_get(vector, "expect") };
    struct span recipient = json_text(json_get(p.given, "recipient"));
    p.literal = span_ends_with_nocase(recipient, SPAN("]"));
    read_situation(&p, failed_id, sizeof(failed_id));
    play_discovery(&p);
    if (!text_is(json_get(p.given, "event"), "refresh"))
        play_delivery(&p);
    if (!actions_fit(&p))
        return "attempts";
    if (!fetch_fits(&p))
        return "fetch";
    if (!cache_fits(&p))
        return "cache";
    return report_fits(&p) ? NULL : "report";
}

static struct json *read_vectors(void)
{
    enum { FILE_MAX = 4 * 1024 * 1024 };
    struct json *root = NULL;
    char *text = memory_new(FILE_MAX);
    FILE *file = fopen(file_name, "r");
    if (!file)
        fail_msg("%s cannot be opened", file_name);
    size_t len = fread(text, 1, FILE_MAX, file);
    fclose(file);
    struct error *err = json_parse((struct span){ text, len }, &root);
    if (err)
        fail_msg("%s: %s", file_name, error_text(err));
    free(text);
    return root;
}

static void every_known_answer_holds(void **state)
{
    unsigned played = 0;
    unsigned failed = 0;
    (void)state;
    struct json *root = read_vectors();
    const struct json *vectors = json_get(root, "vectors");
    for (size_t i = 0; i < json_count(vectors); i++) {
        const struct json *vector = json_item(vectors, i);
        if (is_for_later(json_get(vector, "given")))
            continue;
        const char *wrong = play(vector);
        played++;
        if (!wrong)
            continue;
        print_error("%.*s: %s\n", SPAN_ARG(json_text(json_get(vector, "id"))), wrong);
        failed++;
    }
    assert_int_equal(failed, 0);
    assert_true(played >= 60);
    json_free(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "every known answer about MTA-STS decisions holds", every_known_answer_holds, NULL, NULL,
          NULL },
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
