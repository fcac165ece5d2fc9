#include "policy/operator.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/ipc/role.h"
#include "lib/mail/domain.h"
#include "policy/alarms.h"
#include "policy/entry_json.h"

enum {
    SENTENCE_MAX = 1024,
    ROWS_DEFAULT = 500,
    ROWS_MAX = 1000,
    EXPORT_BYTES = 1024 * 1024, /* of policy files in one page */
};

/* Who asks. */
struct asked {
    struct sts_cache *cache;
    struct domains *domains;
    const struct socketmap *socketmap;
    char domain[DOMAIN_MAX + 1]; /* of the verbs that are about one */
};

/* ---- one policy --------------------------------------------------------------------------- */

static void reply_entry(struct role_request **request, const struct sts_entry *entry)
{
    struct json *object = entry_json(entry, clock_utc_ms());
    role_reply_json(request, &object);
}

static void reply_none(struct role_request **request, const char *domain, const char *reason)
{
    char sentence[SENTENCE_MAX];
    snprintf(sentence, sizeof(sentence), "there is no policy for %s%s%s", domain,
             reason[0] ? ": " : "", reason);
    role_reply_failed(request, sentence);
}

/* The cached one; false: there is none, and the request is answered. */
static bool load(const struct asked *asked, struct role_request **request, struct sts_entry *out)
{
    struct error *err = sts_cache_load(asked->cache, span_of(asked->domain), out);
    if (err)
        role_reply_failed(request, error_text(err));
    else if (!out->policy)
        reply_none(request, asked->domain, "nothing is cached");
    error_free(&err);
    return out->policy != NULL;
}

static void show(const struct asked *asked, struct role_request **request)
{
    struct sts_entry entry;
    if (load(asked, request, &entry))
        reply_entry(request, &entry);
    sts_entry_clear(&entry);
}

/* ---- fetching it anew --------------------------------------------------------------------- */

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

static void refresh_now(const struct asked *asked, struct role_request **request)
{
    struct refresh *refresh = memory_new(sizeof(*refresh));
    refresh->request = *request;
    *request = NULL;
    ensure(span_to_string(span_of(asked->domain), refresh->domain, sizeof(refresh->domain)));
    domain_ask(asked->domains, span_of(asked->domain), WISH_FORCED, on_refreshed, refresh);
}

/* ---- forgetting it ------------------------------------------------------------------------ */

/* A policy less is a protection less: the log keeps who took it away, and why. */
static void log_dropped(const struct sts_entry *entry, const struct role_request *request)
{
    struct log_line line;
    log_begin(&line, LOG_WARNING, "policy-dropped");
    log_string(&line, "domain", entry->domain);
    log_string(&line, "id", entry->id);
    log_string(&line, "mode", sts_mode_name(entry->policy->mode));
    log_number(&line, "uid", role_request_uid(request));
    log_text(&line, "reason", role_request_argument(request, "reason"));
    log_end(&line);
}

static void drop(const struct asked *asked, struct role_request **request)
{
    struct sts_entry entry;
    if (load(asked, request, &entry)) {
        struct error *err = domains_drop(asked->domains, span_of(asked->domain));
        if (err)
            role_reply_failed(request, error_text(err));
        else {
            log_dropped(&entry, *request);
            reply_entry(request, &entry);
        }
        error_free(&err);
    }
    sts_entry_clear(&entry);
}

/* ---- all of them, page by page ------------------------------------------------------------ */

struct page {
    struct json *rows;
    bool exports;
    int64_t now;
    size_t rows_left;
    size_t bytes;
    char last[DOMAIN_MAX + 1]; /* "": all have been seen */
};

static bool add_to_page(void *ctx, const struct sts_entry *entry)
{
    struct page *page = ctx;
    if (page->rows_left == 0 || page->bytes > EXPORT_BYTES)
        return false;
    page->rows_left--;
    page->bytes += entry->policy->text_len;
    ensure(span_to_string(span_of(entry->domain), page->last, sizeof(page->last)));
    if (page->exports)
        entry_json_export(entry, page->rows);
    else
        entry_json_row(entry, page->now, page->rows);
    return true;
}

static size_t rows_of(const struct role_request *request)
{
    uint64_t rows;
    if (span_to_number(role_request_argument(request, "limit"), ROWS_MAX, &rows) && rows > 0)
        return (size_t)rows;
    return ROWS_DEFAULT;
}

/* There may be more where the page is full, or was cut for its bytes. */
static bool is_last_page(const struct page *page)
{
    return page->rows_left > 0 && page->bytes <= EXPORT_BYTES;
}

static void list(const struct asked *asked, bool exports, struct role_request **request)
{
    struct span after = role_request_argument(*request, "after");
    struct json *object = json_new_object();
    struct page page = { .exports = exports, .now = clock_utc_ms() };
    page.rows = json_add_array(object, "policies");
    page.rows_left = rows_of(*request);
    struct error *err =
        sts_cache_each(asked->cache, after.data ? after : SPAN(""), UINT32_MAX, add_to_page, &page);
    if (err) {
        role_reply_failed(request, error_text(err));
        json_free(&object);
        error_free(&err);
        return;
    }
    json_add_string(object, "next", is_last_page(&page) ? NULL : page.last);
    role_reply_json(request, &object);
}

/* ---- taking one in ------------------------------------------------------------------------ */

static void log_imported(const struct sts_entry *entry, const struct role_request *request)
{
    struct log_line line;
    log_begin(&line, LOG_INFO, "policy-imported");
    log_string(&line, "domain", entry->domain);
    log_string(&line, "id", entry->id);
    log_string(&line, "mode", sts_mode_name(entry->policy->mode));
    log_number(&line, "uid", role_request_uid(request));
    log_end(&line);
}

/* Takes it unless what is cached was fetched later; gives why not, lent. */
static const char *take(const struct asked *asked, const struct sts_entry *entry,
                        struct error **out_err)
{
    struct sts_entry cached;
    *out_err = sts_cache_load(asked->cache, span_of(entry->domain), &cached);
    bool is_older = cached.policy && cached.fetched_utc_ms >= entry->fetched_utc_ms;
    sts_entry_clear(&cached);
    if (*out_err)
        return NULL;
    if (is_older)
        return "the cached one was fetched later";
    *out_err = domains_take(asked->domains, entry);
    return NULL;
}

static void reply_import(struct role_request **request, const struct json *value,
                         const char *why_not)
{
    struct json *object = json_new_object();
    json_add_text(object, "domain", span_first(json_text(json_get(value, "domain")), DOMAIN_MAX));
    json_add_bool(object, "imported", why_not == NULL);
    if (why_not)
        json_add_string(object, "reason", why_not);
    role_reply_json(request, &object);
}

static void import(const struct asked *asked, struct role_request **request)
{
    struct json *value = NULL;
    struct sts_entry entry = { .policy = NULL };
    struct error *err = json_parse(role_request_argument(*request, "entry"), &value);
    const char *why_not = err ? NULL : entry_json_import(value, clock_utc_ms(), &entry);
    if (!err && !why_not)
        why_not = take(asked, &entry, &err);
    if (err) {
        role_reply_failed(request, error_text(err));
    } else {
        if (!why_not)
            log_imported(&entry, *request);
        reply_import(request, value, why_not);
    }
    error_free(&err);
    json_free(&value);
    sts_entry_clear(&entry);
}

/* ---- for status --------------------------------------------------------------------------- */

static void counts(const struct asked *asked, struct role_request **request)
{
    struct domains_counts since_start = domains_counts(asked->domains);
    struct socketmap_counts others = socketmap_counts(asked->socketmap);
    struct json *object = json_new_object();
    uint64_t cached = 0;
    struct error *err = sts_cache_count(asked->cache, &cached);
    error_free(&err); /* told where it matters; then there is nothing to count */
    json_add_number(object, "cached", (int64_t)cached);
    json_add_number(object, "lookups", (int64_t)since_start.lookups);
    json_add_number(object, "fetches", (int64_t)since_start.fetches);
    json_add_number(object, "fetches_failed", (int64_t)since_start.fetches_failed);
    json_add_number(object, "socketmap_connections", others.connections);
    json_add_number(object, "socketmap_answers", (int64_t)others.answers);
    alarms_show(domains_alarms(asked->domains), clock_utc_ms(), object);
    role_reply_json(request, &object);
}

/* ---- verbs -------------------------------------------------------------------------------- */

static void list_rows(const struct asked *asked, struct role_request **request)
{
    list(asked, false, request);
}

static void list_exported(const struct asked *asked, struct role_request **request)
{
    list(asked, true, request);
}

static const struct verb {
    const char *words;
    bool is_of_domain;
    void (*answer)(const struct asked *asked, struct role_request **request);
} verbs[] = {
    { "policy show", true, show },
    { "policy refresh", true, refresh_now },
    { "policy drop", true, drop },
    { "policy list", false, list_rows },
    { "policy export", false, list_exported },
    { "policy import", false, import },
    { "policy counts", false, counts },
};

static const struct verb *verb_of(const struct role_request *request)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (span_equal(role_request_verb(request), span_of(verbs[i].words)))
            return &verbs[i];
    return NULL;
}

void operator_control(struct sts_cache *cache, struct domains *domains,
                      const struct socketmap *socketmap, struct role_request **request)
{
    struct asked asked = { .cache = cache, .domains = domains, .socketmap = socketmap };
    const struct verb *verb = verb_of(*request);
    if (!verb)
        role_reply_failed(request, "the policy role knows no such request");
    else if (verb->is_of_domain &&
             !domain_normalize(role_request_argument(*request, "domain"), asked.domain))
        role_reply_failed(request, "that is not a domain");
    else
        verb->answer(&asked, request);
}
