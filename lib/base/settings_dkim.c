/* Types of settings that DKIM signatures are made of: whose mail is signed, as whom, with what. */
#include "lib/base/settings_table.h"

#include <string.h>

/* --- whose mail ------------------------------------------------------------------------------ */

enum { FITS_NOT, FITS_ANY, FITS_BELOW, FITS_EXACTLY = FITS_BELOW + SETTINGS_NAME_SIZE };

static const char *next_item(const char *item)
{
    return item + strlen(item) + 1;
}

/* Among patterns for all below a domain the longest is the nearest. */
static unsigned fit_of_pattern(struct span pattern, struct span domain)
{
    if (span_equal(pattern, SPAN("*")))
        return FITS_ANY;
    if (!domain_is_covered(pattern, domain))
        return FITS_NOT;
    return span_starts_with(pattern, SPAN(".")) ? FITS_BELOW + (unsigned)pattern.len : FITS_EXACTLY;
}

unsigned dkim_settings_fit(const struct dkim_settings *entry, struct span from_domain)
{
    const char *item = entry->senders.text;
    unsigned best = FITS_NOT;

    for (unsigned i = 0; i < entry->senders.count; i++, item = next_item(item)) {
        unsigned fit = fit_of_pattern(span_of(item), from_domain);
        best = fit > best ? fit : best;
    }
    return best;
}

bool settings_dkim_next(const struct settings *s, struct span from_domain, unsigned *at,
                        const struct dkim_settings **out_entry)
{
    unsigned best = 1; /* what does not fit at all never counts */

    for (unsigned i = 0; i < s->dkim_count; i++) {
        unsigned fit = dkim_settings_fit(&s->dkim[i], from_domain);
        best = fit > best ? fit : best;
    }
    for (; *at < s->dkim_count; ++*at) {
        if (dkim_settings_fit(&s->dkim[*at], from_domain) != best)
            continue;
        *out_entry = &s->dkim[(*at)++];
        return true;
    }
    return false;
}

bool settings_dkim_signs(const struct settings *s, struct span from_domain)
{
    const struct dkim_settings *entry;
    unsigned at = 0;

    return settings_dkim_next(s, from_domain, &at, &entry);
}

bool dkim_settings_header_is_relaxed(const struct dkim_settings *entry)
{
    return entry->forms == DKIM_FORMS_RELAXED_RELAXED || entry->forms == DKIM_FORMS_RELAXED_SIMPLE;
}

bool dkim_settings_body_is_relaxed(const struct dkim_settings *entry)
{
    return entry->forms == DKIM_FORMS_RELAXED_RELAXED || entry->forms == DKIM_FORMS_SIMPLE_RELAXED;
}

struct settings_dkim_bodies settings_dkim_bodies(const struct settings *s)
{
    struct settings_dkim_bodies bodies = { false, false };

    for (unsigned i = 0; i < s->dkim_count; i++) {
        bool is_relaxed = dkim_settings_body_is_relaxed(&s->dkim[i]);
        bodies.relaxed = bodies.relaxed || is_relaxed;
        bodies.simple = bodies.simple || !is_relaxed;
    }
    return bodies;
}

/* --- reading senders ------------------------------------------------------------------------- */

static bool is_sender(struct span text)
{
    return span_equal(text, SPAN("*")) ||
           setting_host.valid(span_starts_with(text, SPAN(".")) ? span_from(text, 1) : text);
}

static size_t senders_length(const struct name_list *list)
{
    size_t len = 0;

    for (unsigned i = 0; i < list->count; i++)
        len += strlen(list->text + len) + 1;
    return len;
}

/* Lower case, as names of DNS records are written. */
static bool sender_read(struct span text, const struct setting *setting, void *group)
{
    struct name_list *list = (void *)((char *)group + setting->offset);
    size_t used = senders_length(list);

    if (!is_sender(text) || text.len >= sizeof(list->text) - used)
        return false;
    for (size_t i = 0; i < text.len; i++)
        list->text[used + i] = ascii_lower(text.data[i]);
    list->count++;
    return true;
}

static bool senders_read(const struct settings_reading *reading, const struct setting *setting,
                         const struct tree_node *node, void *group)
{
    memset((char *)group + setting->offset, 0, setting->size);
    return setting_read_items(reading, setting, node, SETTINGS_NAMES_SIZE, sender_read, group);
}

static bool selector_read(const struct settings_reading *reading, const struct setting *setting,
                          const struct tree_node *node, void *group)
{
    return setting_host.read(reading, setting, node, group);
}

static void text_write(const struct setting *setting, const void *group, struct buf *out)
{
    setting_write_text((const char *)group + setting->offset, out);
}

/* Of labels as host names have them (RFC 6376 s.3.1). */
static bool selector_is_valid(struct span text)
{
    return setting_host.valid(text);
}

/* --- entries --------------------------------------------------------------------------------- */

/* Where a signature's key is looked for; the longest name that DNS knows has DOMAIN_MAX octets. */
static bool name_is_too_long(const char *selector, const char *domain)
{
    return strlen(selector) + strlen("._domainkey.") + strlen(domain) > DOMAIN_MAX;
}

/* Does the entry sign as a domain that one of its senders may be without any `domain`? */
static bool has_long_name(const struct dkim_settings *e)
{
    const char *item = e->senders.text;
    bool is_long = name_is_too_long(e->selector, e->domain);

    for (unsigned i = 0; e->domain[0] == '\0' && i < e->senders.count; i++, item = next_item(item))
        is_long = is_long || name_is_too_long(e->selector, item);
    return is_long;
}

static bool entry_is_whole(const struct settings_reading *reading, const struct setting *setting,
                           const struct tree_node *node, const struct dkim_settings *e)
{
    const struct setting_fault faults[] = {
        { !setting_is_given(node, "senders"), "lacks senders in this entry",
          "senders = \"example.net\"" },
        { !setting_is_given(node, "selector"), "lacks a selector in this entry",
          "selector = \"2026a\"" },
        { !setting_is_given(node, "key"), "lacks a key in this entry",
          "key = \"/etc/waxseal/dkim/example.net.pem\", made with waxseal dkim new" },
        { has_long_name(e),
          "has an entry whose key DNS could not name: it is longer than 253 octets",
          "a shorter selector" },
    };

    return setting_faults_absent(reading, setting, node, faults,
                                 sizeof(faults) / sizeof(faults[0]));
}

static bool has_sender(const struct dkim_settings *e, const char *sender)
{
    return name_list_contains(&e->senders, span_of(sender));
}

/* May both sign as one domain?  "*" and ".x" stand for themselves: what is nearer wins there. */
static bool share_domain(const struct dkim_settings *a, const struct dkim_settings *b)
{
    const char *item = a->senders.text;

    if (a->domain[0] != '\0' && b->domain[0] != '\0')
        return span_equal_nocase(span_of(a->domain), span_of(b->domain));
    if (a->domain[0] != '\0')
        return has_sender(b, a->domain);
    if (b->domain[0] != '\0')
        return has_sender(a, b->domain);
    for (unsigned i = 0; i < a->senders.count; i++, item = next_item(item))
        if (has_sender(b, item))
            return true;
    return false;
}

static bool share_sender(const struct dkim_settings *a, const struct dkim_settings *b)
{
    const char *item = a->senders.text;

    for (unsigned i = 0; i < a->senders.count; i++, item = next_item(item))
        if (has_sender(b, item))
            return true;
    return false;
}

/* A record in DNS holds one key, and one key signs a message once. */
static bool is_in_conflict(const struct settings *s, const struct dkim_settings *e)
{
    for (unsigned i = 0; i < s->dkim_count; i++) {
        const struct dkim_settings *other = &s->dkim[i];
        if (span_equal_nocase(span_of(e->selector), span_of(other->selector)) &&
            share_domain(e, other) && (strcmp(e->key, other->key) != 0 || share_sender(e, other)))
            return true;
    }
    return false;
}

/* Entries that fit a domain best all name it in the same way. */
static bool is_one_too_many(const struct settings *s, const struct dkim_settings *e)
{
    const char *item = e->senders.text;

    for (unsigned n = 0; n < e->senders.count; n++, item = next_item(item)) {
        unsigned others = 0;
        for (unsigned i = 0; i < s->dkim_count; i++)
            others += has_sender(&s->dkim[i], item);
        if (others >= SETTINGS_DKIM_PER_SENDER_MAX)
            return true;
    }
    return false;
}

static bool entry_read(const struct settings_reading *reading, const struct setting *setting,
                       const struct tree_node *node, struct settings *s)
{
    struct dkim_settings *entry = &s->dkim[s->dkim_count];
    bool fine;

    if (node->kind != TREE_GROUP)
        return setting_refuse_value(reading, setting, node);
    memset(entry, 0, sizeof(*entry));
    settings_group_defaults("dkim", entry);
    fine = settings_read_group(reading, "dkim", node, entry);
    if (!entry_is_whole(reading, setting, node, entry) || !fine)
        return false;
    if (is_in_conflict(s, entry))
        return setting_refuse_for(reading, setting, node->line,
                                  "has this selector for the same domain already",
                                  "another selector: each key needs its own");
    if (is_one_too_many(s, entry))
        return setting_refuse_for(reading, setting, node->line,
                                  "has more than 8 entries for one domain", "fewer of them");
    s->dkim_count++;
    return true;
}

static bool dkim_read(const struct settings_reading *reading, const struct setting *setting,
                      const struct tree_node *node, void *group)
{
    struct settings *s = group;
    bool fine = true;

    if (node->kind != TREE_LIST)
        return setting_refuse_value(reading, setting, node);
    if (node->count > SETTINGS_DKIM_MAX)
        return setting_has_too_many(reading, setting, node, SETTINGS_DKIM_MAX);
    s->dkim_count = 0;
    for (size_t i = 0; i < node->count; i++)
        fine = entry_read(reading, setting, &node->children[i], s) && fine;
    return fine;
}

static void senders_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct name_list *list = (const void *)((const char *)group + setting->offset);
    const char *item = list->text;

    ensure(buf_append(out, SPAN("[ ")));
    for (unsigned i = 0; i < list->count; i++, item = next_item(item))
        ensure(buf_printf(out, "%s\"%s\"", i > 0 ? ", " : "", item));
    ensure(buf_append(out, SPAN(" ]")));
}

static void dkim_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct settings *s = group;

    (void)setting;
    ensure(buf_append(out, SPAN("(")));
    for (unsigned i = 0; i < s->dkim_count; i++) {
        ensure(buf_printf(out, "%s { ", i > 0 ? "," : ""));
        settings_write_group("dkim", &s->dkim[i], " ", out);
        ensure(buf_append(out, SPAN("}")));
    }
    ensure(buf_append(out, SPAN(" )")));
}

/* --- the types ------------------------------------------------------------------------------- */

const struct setting_type setting_dkim_senders = {
    "senders",
    "a domain such as \"example.net\", \".example.net\" for all below it, \"*\" for any, or a list "
    "of such, of 1 KiB in all",
    senders_read,
    senders_write,
    NULL,
    NULL,
};
const struct setting_type setting_dkim_selector = {
    "selector",        "letters, digits and hyphens, perhaps with dots between, such as \"2026a\"",
    selector_read,     text_write,
    selector_is_valid, NULL,
};
const struct setting_type setting_dkim = {
    "dkim",
    "( { senders = \"example.net\"; selector = \"2026a\"; key = "
    "\"/etc/waxseal/dkim/example.net.pem\"; } )",
    dkim_read,
    dkim_write,
    NULL,
    NULL,
};
