#include "policy/explain_policy.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/ipc/role.h"
#include "lib/mail/domain.h"
#include "policy/entry_json.h"

enum { PATTERNS_SHOWN_MAX = 100 };

/* One question; TXT, then the policy file, each with its own deadline. */
struct question {
    struct explain_policy_tools tools;
    struct role_request *request;
    char domain[DOMAIN_MAX + 1];
    struct sts_entry cached;
    struct sts_txt txt;
    char txt_reason[80];
};

static void add_published(struct json *answer, const struct question *q,
                          const struct sts_fetched *fetched)
{
    struct json *published = json_add_object(answer, "published");

    json_add_string(published, "txt", sts_txt_verdict_name(q->txt.verdict));
    json_add_string(published, "id", q->txt.id);
    if (!fetched)
        return;
    json_add_string(published, "fetch", tls_result_name(fetched->result));
    json_add_string(published, "fetch_reason", fetched->reason);
    if (!fetched->policy)
        return;
    json_add_string(published, "mode", sts_mode_name(fetched->policy->mode));
    json_add_number(published, "max_age", fetched->policy->max_age_s);
    struct json *mx = json_add_array(published, "mx");
    for (unsigned i = 0; i < fetched->policy->mx_count && i < PATTERNS_SHOWN_MAX; i++)
        json_append_text(mx, span_of(fetched->policy->mx[i]));
    unsigned left_out = fetched->policy->mx_count + fetched->policy->mx_cut;
    left_out -= (unsigned)json_count(mx);
    if (left_out > 0)
        json_add_number(published, "mx_left_out", left_out);
}

/* Answers, and ends the question. */
static void answer(struct question *q, const struct sts_fetched *fetched)
{
    struct json *object = json_new_object();
    const struct explain_policy_facts facts = { .domain = q->domain,
                                                .cached = &q->cached,
                                                .txt = &q->txt,
                                                .txt_reason = q->txt_reason,
                                                .fetched = fetched };

    json_add_string(object, "domain", q->domain);
    if (q->cached.policy) {
        struct json *cached = entry_json(&q->cached, clock_utc_ms());
        json_add(object, "cached", &cached);
        json_add_number(object, "cached_age_s",
                        (clock_utc_ms() - q->cached.fetched_utc_ms) / SECOND_MS);
    } else {
        json_add_null(object, "cached");
    }
    add_published(object, q, fetched);
    explain_policy_problems(&facts, json_add_array(object, "problems"));
    role_reply_json(&q->request, &object);
    sts_entry_clear(&q->cached);
    free(q);
}

static void on_fetched(void *ctx, struct sts_fetched *fetched)
{
    answer(ctx, fetched);
}

static void on_txt(void *ctx, const struct dns_answer *dns)
{
    struct question *q = ctx;

    sts_txt_judge(dns, &q->txt);
    if (q->txt.verdict == STS_TXT_DNS_ERROR)
        snprintf(q->txt_reason, sizeof(q->txt_reason), "%s", dns->reason);
    if (q->txt.verdict == STS_TXT_VALID)
        sts_fetch_start(q->tools.fetcher, q->domain, on_fetched, q);
    else
        answer(q, NULL);
}

static void ask(struct question *q)
{
    char name[DOMAIN_MAX + 16];
    struct error *err = sts_cache_load(q->tools.cache, span_of(q->domain), &q->cached);

    if (err) {
        role_reply_failed(&q->request, error_text(err));
        error_free(&err);
        free(q);
        return;
    }
    snprintf(name, sizeof(name), "_mta-sts.%s", q->domain);
    resolver_ask(q->tools.resolver, span_of(name), DNS_TXT, on_txt, q);
}

void explain_policy(const struct explain_policy_tools *tools, struct role_request **request)
{
    struct question *q = memory_new(sizeof(*q));

    if (!domain_normalize(role_request_argument(*request, "domain"), q->domain)) {
        role_reply_failed(request, "that is not a domain");
        free(q);
        return;
    }
    q->tools = *tools;
    q->request = *request;
    *request = NULL;
    ask(q);
}
