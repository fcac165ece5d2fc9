#include "tlsrpt/reader_findings.h"

#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "tlsrpt/reader_words.h"

#include <stdlib.h>

/* Up to FINDING_PLACES_MAX different ones. */
struct places {
    const struct json *items[FINDING_PLACES_MAX]; /* failure details that they stand in */
    size_t count;
    bool more;
};

/* Failures of one policy with one result and reason. */
struct finding {
    size_t policy; /* which of the report's */
    size_t order;
    struct span result;
    struct span reason;
    int64_t sessions;
    int64_t details;
    struct places receivers; /* by host and address */
    struct places senders;
};

struct findings {
    struct map *by_key;
    struct finding **items; /* ours */
    size_t count;
    size_t room;
};

/* --- counts ---------------------------------------------------------------------------------- */

static int64_t sum(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static int64_t succeeded(const struct json *entry)
{
    return json_number(json_get(json_get(entry, "summary"), "total-successful-session-count"));
}

static int64_t failed(const struct json *entry)
{
    return json_number(json_get(json_get(entry, "summary"), "total-failure-session-count"));
}

/* "enforce" of the line "mode: enforce"; "" when no line says so. */
static struct span mode_of(const struct json *policy)
{
    const struct json *lines = json_get(policy, "policy-string");

    for (size_t i = 0; i < json_count(lines); i++) {
        struct span line = span_trim(json_text(json_item(lines, i)));
        if (span_starts_with_nocase(line, SPAN("mode:")))
            return span_trim(span_from(line, 5));
    }
    return SPAN("");
}

/* --- gathering ------------------------------------------------------------------------------- */

static bool same_member(const struct json *a, const struct json *b, const char *key)
{
    return span_equal_nocase(json_member_text(a, key), json_member_text(b, key));
}

static void add_place(struct places *places, const struct json *detail, const char *key,
                      const char *other_key)
{
    if (json_member_text(detail, key).len == 0 && json_member_text(detail, other_key).len == 0)
        return;
    for (size_t i = 0; i < places->count; i++)
        if (same_member(places->items[i], detail, key) &&
            same_member(places->items[i], detail, other_key))
            return;
    places->more = places->count == FINDING_PLACES_MAX;
    if (!places->more)
        places->items[places->count++] = detail;
}

static struct finding *append_finding(struct findings *all)
{
    if (all->count == all->room) {
        all->room = all->room > 0 ? 2 * all->room : 64;
        all->items = memory_resize(all->items, all->room * sizeof(struct finding *));
    }
    all->items[all->count] = memory_new(sizeof(struct finding));
    return all->items[all->count++];
}

/* The key is made of texts that a stranger chose: the first one's length keeps them apart. */
static struct finding *finding_of(struct findings *all, size_t policy, struct span result,
                                  struct span reason)
{
    struct finding *finding;
    struct buf key;

    buf_init(&key, result.len + reason.len + 64);
    ensure(buf_printf(&key, "%zu %zu ", policy, result.len) && buf_append(&key, result) &&
           buf_append(&key, reason));
    finding = map_get(all->by_key, buf_span(&key));
    if (!finding) {
        size_t order = all->count;
        finding = append_finding(all);
        *finding = (struct finding){ policy, order, .result = result, .reason = reason };
        map_put(all->by_key, buf_span(&key), finding);
    }
    buf_clear(&key);
    return finding;
}

static void gather_detail(struct findings *all, size_t policy, const struct json *detail)
{
    struct finding *finding = finding_of(all, policy, json_member_text(detail, "result-type"),
                                         json_member_text(detail, "failure-reason-code"));

    finding->sessions =
        sum(finding->sessions, json_number(json_get(detail, "failed-session-count")));
    finding->details++;
    add_place(&finding->receivers, detail, "receiving-mx-hostname", "receiving-ip");
    add_place(&finding->senders, detail, "sending-mta-ip", "sending-mta-ip");
}

/* Failed sessions of which the report says nothing more are a finding, too. */
static void gather_policy(struct findings *all, size_t policy, const struct json *entry)
{
    const struct json *details = json_get(entry, "failure-details");

    for (size_t i = 0; i < json_count(details); i++)
        gather_detail(all, policy, json_item(details, i));
    if (json_count(details) == 0 && failed(entry) > 0)
        finding_of(all, policy, SPAN(""), SPAN(""))->sessions = failed(entry);
}

static int by_weight(const void *one, const void *other)
{
    const struct finding *a = *(const struct finding *const *)one;
    const struct finding *b = *(const struct finding *const *)other;

    if (a->sessions != b->sessions)
        return a->sessions > b->sessions ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static void gather(struct findings *all, const struct json *policies)
{
    for (size_t i = 0; i < json_count(policies); i++)
        gather_policy(all, i, json_item(policies, i));
    if (all->count > 0)
        qsort(all->items, all->count, sizeof(struct finding *), by_weight);
}

/* --- telling --------------------------------------------------------------------------------- */

static void add_if_any(struct json *to, const char *key, struct span text)
{
    if (text.len > 0)
        json_add_text(to, key, text);
}

static void add_receivers(struct json *to, const struct finding *finding)
{
    struct json *list = json_add_array(to, "receivers");

    for (size_t i = 0; i < finding->receivers.count; i++) {
        const struct json *detail = finding->receivers.items[i];
        struct json *place = json_append_object(list);
        add_if_any(place, "host", json_member_text(detail, "receiving-mx-hostname"));
        add_if_any(place, "address", json_member_text(detail, "receiving-ip"));
        add_if_any(place, "helo", json_member_text(detail, "receiving-mx-helo"));
        add_if_any(place, "information", json_member_text(detail, "additional-information"));
    }
    json_add_bool(to, "more_receivers", finding->receivers.more);
}

static void add_senders(struct json *to, const struct finding *finding)
{
    struct json *list = json_add_array(to, "senders");

    for (size_t i = 0; i < finding->senders.count; i++)
        json_append_text(list, json_member_text(finding->senders.items[i], "sending-mta-ip"));
    json_add_bool(to, "more_senders", finding->senders.more);
}

static void add_policy_name(struct json *to, const struct json *policy)
{
    add_if_any(to, "type", json_member_text(policy, "policy-type"));
    add_if_any(to, "domain", json_member_text(policy, "policy-domain"));
    add_if_any(to, "mode", mode_of(policy));
}

/* The words name the first host; what is wrong there is wrong with the others. */
static void append_told(struct json *list, const struct finding *finding,
                        const struct json *policies)
{
    const struct json *policy = json_get(json_item(policies, finding->policy), "policy");
    const struct reader_failure failure = {
        .policy_type = json_member_text(policy, "policy-type"),
        .mode = mode_of(policy),
        .domain = json_member_text(policy, "policy-domain"),
        .host = finding->receivers.count > 0
                    ? json_member_text(finding->receivers.items[0], "receiving-mx-hostname")
                    : SPAN(""),
        .result = finding->result,
        .reason = finding->reason,
    };
    struct json *told = json_append_object(list);

    json_add_number(told, "policy", (int64_t)finding->policy);
    add_policy_name(told, policy);
    json_add_text(told, "result", finding->result);
    json_add_text(told, "reason", finding->reason);
    json_add_number(told, "sessions", finding->sessions);
    json_add_number(told, "details", finding->details);
    add_receivers(told, finding);
    add_senders(told, finding);
    reader_words_add(&failure, told);
}

static void append_policy(struct json *list, const struct json *entry)
{
    const struct json *policy = json_get(entry, "policy");
    struct span type = json_member_text(policy, "policy-type");
    struct json *told = json_append_object(list);
    bool has_failures = failed(entry) > 0 || json_count(json_get(entry, "failure-details")) > 0;
    const char *hint = reader_words_hint(type, mode_of(policy), has_failures);

    add_policy_name(told, policy);
    json_add_number(told, "succeeded", succeeded(entry));
    json_add_number(told, "failed", failed(entry));
    if (hint)
        json_add_string(told, "hint", hint);
}

static void add_sums(struct json *to, const struct json *policies)
{
    int64_t good = 0;
    int64_t bad = 0;

    for (size_t i = 0; i < json_count(policies); i++) {
        good = sum(good, succeeded(json_item(policies, i)));
        bad = sum(bad, failed(json_item(policies, i)));
    }
    json_add_number(to, "succeeded", good);
    json_add_number(to, "failed", bad);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void add_policies(struct json *to, const struct json *policies)
{
    struct json *list = json_add_array(to, "policies");
    size_t count = json_count(policies);

    for (size_t i = 0; i < least(count, FINDING_POLICIES_MAX); i++)
        append_policy(list, json_item(policies, i));
    json_add_number(to, "policies_left_out", (int64_t)(count - json_count(list)));
}

static void free_findings(struct findings *all)
{
    for (size_t i = 0; i < all->count; i++)
        free(all->items[i]);
    free(all->items);
    map_free(&all->by_key);
}

void reader_findings_add(const struct json *report, struct json *to)
{
    const struct json *policies = json_get(report, "policies");
    struct findings all = { .by_key = map_new() };
    struct json *list;

    gather(&all, policies);
    add_sums(to, policies);
    add_policies(to, policies);
    list = json_add_array(to, "findings");
    for (size_t i = 0; i < least(all.count, FINDINGS_MAX); i++)
        append_told(list, all.items[i], policies);
    json_add_number(to, "findings_left_out", (int64_t)(all.count - json_count(list)));
    free_findings(&all);
}
