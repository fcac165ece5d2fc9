#include "queue/filter.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/settings_table.h"
#include "lib/ipc/channel.h"

/* ---- patterns ----------------------------------------------------------------------------- */

/* Tries the last "*" only: what an earlier one could take, the last can take as well. */
bool filter_glob(struct span pattern, struct span text)
{
    size_t at = 0;
    size_t in_text = 0;
    size_t star = SIZE_MAX; /* where the last "*" stands, and up to where it took */
    size_t taken = 0;

    while (in_text < text.len) {
        char c = at < pattern.len ? pattern.data[at] : '\0';
        if (at < pattern.len && c == '*') {
            star = at++;
            taken = in_text;
        } else if (at < pattern.len &&
                   (c == '?' || ascii_lower(c) == ascii_lower(text.data[in_text]))) {
            at++;
            in_text++;
        } else if (star != SIZE_MAX) {
            at = star + 1;
            in_text = ++taken;
        } else {
            return false;
        }
    }
    while (at < pattern.len && pattern.data[at] == '*')
        at++;
    return at == pattern.len;
}

static bool is_pattern(struct span text)
{
    return span_find(text, '*') < text.len || span_find(text, '?') < text.len;
}

static bool contains(struct span text, struct span part)
{
    for (size_t at = 0; at + part.len <= text.len; at++)
        if (span_starts_with_nocase(span_from(text, at), part))
            return true;
    return false;
}

/* ---- what is given ------------------------------------------------------------------------ */

static const char *const state_names[WAITING_STATES] = {
    [WAITING_QUEUED] = "queued",
    [WAITING_POLICY] = "waits for policy",
    [WAITING_SIGNATURE] = "waits for signature",
    [WAITING_DEFERRED] = "deferred",
    [WAITING_HELD] = "held",
    [WAITING_DAMAGED] = "damaged",
    [WAITING_SUSPENDED] = "suspended",
    [WAITING_DELIVERING] = "delivering",
};

const char *waiting_state_name(enum waiting_state state)
{
    return (unsigned)state < WAITING_STATES ? state_names[state] : "";
}

/* On a command line "policy" and "signature" are enough. */
static bool is_short_for(enum waiting_state state, struct span text)
{
    return (state == WAITING_POLICY && span_equal(text, SPAN("policy"))) ||
           (state == WAITING_SIGNATURE && span_equal(text, SPAN("signature")));
}

static bool state_parse(struct span text, unsigned *out_bit)
{
    for (unsigned i = 0; i < WAITING_STATES; i++) {
        if (is_short_for((enum waiting_state)i, text) ||
            span_equal(text, span_of(state_names[i]))) {
            *out_bit = 1U << i;
            return true;
        }
    }
    return false;
}

static struct error *wrong(struct span name, const char *right)
{
    return error_new(ERROR_PERMANENT, "--" SPAN_FMT " is %s", SPAN_ARG(name), right);
}

static struct error *take_text(struct filter *filter, enum filter_text which, struct span name,
                               struct span value)
{
    if (value.len == 0 || !span_to_string(value, filter->texts[which], FILTER_TEXT_MAX + 1))
        return wrong(name, "a text or a pattern of at most 320 bytes, in which * stands for "
                           "anything");
    filter->texts_given |= 1U << which;
    return NULL;
}

static struct error *take_sender(struct filter *f, struct span name, struct span value)
{
    return take_text(f, FILTER_SENDER, name, value);
}

static struct error *take_recipient(struct filter *f, struct span name, struct span value)
{
    return take_text(f, FILTER_RECIPIENT, name, value);
}

static struct error *take_domain(struct filter *f, struct span name, struct span value)
{
    return take_text(f, FILTER_DOMAIN, name, value);
}

static struct error *take_next_hop(struct filter *f, struct span name, struct span value)
{
    return take_text(f, FILTER_NEXT_HOP, name, value);
}

static struct error *take_reply(struct filter *f, struct span name, struct span value)
{
    return take_text(f, FILTER_REPLY, name, value);
}

static struct error *take_listener(struct filter *f, struct span name, struct span value)
{
    return take_text(f, FILTER_LISTENER, name, value);
}

static struct error *take_user(struct filter *f, struct span name, struct span value)
{
    return take_text(f, FILTER_USER, name, value);
}

static struct error *take_id(struct filter *f, struct span name, struct span value)
{
    return qid_parse(value, &f->id) && f->id != 0 ? NULL : wrong(name, "a queue id");
}

static bool read_age(struct span value, int64_t *out_ms)
{
    uint64_t seconds;

    if (!setting_duration_parse(value, &seconds) || seconds == 0 || seconds > INT32_MAX)
        return false;
    *out_ms = (int64_t)seconds * SECOND_MS;
    return true;
}

static struct error *take_older(struct filter *f, struct span name, struct span value)
{
    return read_age(value, &f->older_ms) ? NULL : wrong(name, "an age such as 2h or 3d");
}

static struct error *take_younger(struct filter *f, struct span name, struct span value)
{
    return read_age(value, &f->younger_ms) ? NULL : wrong(name, "an age such as 2h or 3d");
}

static struct error *take_larger(struct filter *f, struct span name, struct span value)
{
    return setting_size_parse(value, &f->larger) && f->larger > 0
               ? NULL
               : wrong(name, "a size such as 500K or 10M");
}

static struct error *take_smaller(struct filter *f, struct span name, struct span value)
{
    return setting_size_parse(value, &f->smaller) && f->smaller > 0
               ? NULL
               : wrong(name, "a size such as 500K or 10M");
}

static struct error *take_state(struct filter *f, struct span name, struct span value)
{
    return state_parse(value, &f->states)
               ? NULL
               : wrong(name, "queued, policy, signature, deferred, held, damaged, suspended or "
                             "delivering");
}

static struct error *(*const takers[])(struct filter *, struct span, struct span) = {
    take_id,       take_sender,  take_recipient, take_domain,  take_next_hop,
    take_older,    take_younger, take_larger,    take_smaller, take_reply,
    take_listener, take_user,    take_state,
};
const char *const filter_names[] = {
    "id",     "sender",  "recipient", "domain",   "next-hop", "older", "younger",
    "larger", "smaller", "reply",     "listener", "user",     "state",
};
enum { NAMES = sizeof(filter_names) / sizeof(filter_names[0]) };
const unsigned filter_name_count = NAMES;
_Static_assert(NAMES == sizeof(takers) / sizeof(takers[0]), "one taker for each name");

void filter_init(struct filter *filter)
{
    memset(filter, 0, sizeof(*filter));
}

struct error *filter_take(struct filter *filter, struct span name, struct span value)
{
    for (unsigned i = 0; i < NAMES; i++)
        if (span_equal(name, span_of(filter_names[i])))
            return takers[i](filter, name, value);
    return error_new(ERROR_PERMANENT, "there is no such filter");
}

bool filter_is_empty(const struct filter *filter)
{
    return filter->id == 0 && filter->texts_given == 0 && filter->older_ms == 0 &&
           filter->younger_ms == 0 && filter->larger == 0 && filter->smaller == 0 &&
           filter->states == 0;
}

/* ---- what matches ------------------------------------------------------------------------- */

/* ".example.org": all domains below, as in routes. */
static bool domain_matches(struct span pattern, struct span domain)
{
    if (span_starts_with(pattern, SPAN(".")))
        return domain.len > pattern.len && span_ends_with_nocase(domain, pattern);
    return filter_glob(pattern, domain);
}

static bool sender_matches(struct span pattern, struct span sender)
{
    return span_equal(pattern, SPAN("<>")) ? sender.len == 0 : filter_glob(pattern, sender);
}

static bool reply_matches(struct span pattern, const struct filter_facts *facts)
{
    struct span reply = facts->texts[FILTER_REPLY];

    if (is_pattern(pattern))
        return filter_glob(pattern, reply) || filter_glob(pattern, facts->status) ||
               filter_glob(pattern, facts->held_reason);
    return contains(reply, pattern) || contains(facts->held_reason, pattern) ||
           (pattern.len > 0 && span_starts_with(facts->status, pattern));
}

static bool text_matches(const struct filter *filter, enum filter_text which,
                         const struct filter_facts *facts)
{
    struct span pattern = span_of(filter->texts[which]);

    if ((filter->texts_given & 1U << which) == 0)
        return true;
    if (which == FILTER_DOMAIN)
        return domain_matches(pattern, facts->texts[which]);
    if (which == FILTER_SENDER)
        return sender_matches(pattern, facts->texts[which]);
    if (which == FILTER_REPLY)
        return reply_matches(pattern, facts);
    if (which == FILTER_USER && facts->texts[which].len == 0)
        return false; /* "*" is whoever logged in, as in routes */
    return filter_glob(pattern, facts->texts[which]);
}

static bool numbers_match(const struct filter *filter, const struct filter_facts *facts)
{
    return (filter->id == 0 || filter->id == facts->id) &&
           (filter->older_ms == 0 || facts->age_ms >= filter->older_ms) &&
           (filter->younger_ms == 0 || facts->age_ms < filter->younger_ms) &&
           facts->size >= filter->larger &&
           (filter->smaller == 0 || facts->size < filter->smaller) &&
           (filter->states == 0 || (filter->states & 1U << facts->state) != 0);
}

bool filter_matches(const struct filter *filter, const struct filter_facts *facts)
{
    if (!numbers_match(filter, facts))
        return false;
    for (unsigned i = 0; i < FILTER_TEXTS; i++)
        if (!text_matches(filter, (enum filter_text)i, facts))
            return false;
    return true;
}
