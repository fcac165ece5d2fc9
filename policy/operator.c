#include "policy/operator.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/base/memory.h"
#include "lib/ipc/role.h"
#include "lib/mail/domain.h"

enum { ANSWER_MAX = 256 * 1024, SENTENCE_MAX = 1024 };

static void add_time(struct json *object, const char *key, int64_t utc_ms)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format_rfc3339(utc_ms, text);
    json_add_string(object, key, text);
}

static struct json *json_of_entry(const struct sts_entry *entry)
{
    struct json *object = json_new_object();
    json_add_string(object, "domain", entry->domain);
    json_add_string(object, "mode", sts_mode_name(entry->policy->mode));
    json_add_string(object, "id", entry->id);
    struct json *mx = json_add_array(object, "mx");
    for (unsigned i = 0; i < entry->policy->mx_count; i++)
        json_append_text(mx, span_of(entry->policy->mx[i]));
    json_add_number(object, "max_age", entry->policy->max_age_s);
    add_time(object, "fetched", entry->fetched_utc_ms);
    add_time(object, "expires", sts_entry_expires(entry));
    json_add_bool(object, "expired", clock_utc_ms() > sts_entry_expires(entry));
    add_time(object, "next_refresh", entry->refresh_utc_ms);
    return object;
}

static void reply_entry(struct role_request **request, const struct sts_entry *entry)
{
    struct json *object = json_of_entry(entry);
    struct buf text;
    buf_init(&text, 16 * ANSWER_MAX);
    if (json_write(object, JSON_ON_ONE_LINE, &text))
        role_reply(request, buf_span(&text), true);
    else
        role_reply_failed(request, "the policy is too large to be shown");
    buf_clear(&text);
    json_free(&object);
}

static void reply_none(struct role_request **request, const char *domain, const char *reason)
{
    char sentence[SENTENCE_MAX];
    snprintf(sentence, sizeof(sentence), "there is no policy for %s%s%s", domain,
             reason[0] ? ": " : "", reason);
    role_reply_failed(request, sentence);
}

static void show(struct sts_cache *cache, const char *domain, struct role_request **request)
{
    struct sts_entry entry;
    struct error *err = sts_cache_load(cache, span_of(domain), &entry);
    if (err)
        role_reply_failed(request, error_text(err));
    else if (entry.policy)
        reply_entry(request, &entry);
    else
        reply_none(request, domain, "nothing is cached");
    error_free(&err);
    sts_entry_clear(&entry);
}

struct refresh {
    struct role_request *request;
    char domain[DOMAIN_MAX + 1];
};

static void reply_stale(struct refresh *refresh, const struct policy_answer *answer)
{
    char sentence[SENTENCE_MAX];
    snprintf(sentence, sizeof(sentence), "the policy of %s could not be fetched (%s); %s",
             refresh->domain, answer->fetch_reason,
             answer->entry ? "the cached one stays in force" : "nothing is cached");
    role_reply_failed(&refresh->request, sentence);
}

static void on_refreshed(void *ctx, const struct policy_answer *answer)
{
    struct refresh *refresh = ctx;
    if (answer->fetch_reason[0] != '\0')
        reply_stale(refresh, answer);
    else if (answer->entry)
        reply_entry(&refresh->request, answer->entry);
    else
        reply_none(&refresh->request, refresh->domain, "it publishes no valid record");
    free(refresh);
}

static void refresh_now(struct domains *domains, const char *domain, struct role_request **request)
{
    struct refresh *refresh = memory_new(sizeof(*refresh));
    refresh->request = *request;
    *request = NULL;
    ensure(span_to_string(span_of(domain), refresh->domain, sizeof(refresh->domain)));
    domain_ask(domains, span_of(domain), WISH_FORCED, on_refreshed, refresh);
}

void operator_control(struct sts_cache *cache, struct domains *domains,
                      struct role_request **request)
{
    char domain[DOMAIN_MAX + 1];
    struct span verb = role_request_verb(*request);
    if (!domain_normalize(role_request_argument(*request, "domain"), domain))
        role_reply_failed(request, "that is not a domain");
    else if (span_equal(verb, SPAN("policy show")))
        show(cache, domain, request);
    else if (span_equal(verb, SPAN("policy refresh")))
        refresh_now(domains, domain, request);
    else
        role_reply_failed(request, "the policy role knows no such request");
}
