/* Types of settings that say who may send what where: domains, and rules for clients. */
#include "lib/base/settings_table.h"

#include <string.h>

/* --- domains --------------------------------------------------------------------------------- */

static const char *next_item(const char *item)
{
    return item + strlen(item) + 1;
}

bool domain_is_covered(struct span pattern, struct span domain)
{
    if (!span_starts_with(pattern, SPAN(".")))
        return span_equal_nocase(pattern, domain);
    return domain.len > pattern.len &&
           span_equal_nocase(span_from(domain, domain.len - pattern.len), pattern);
}

bool domain_list_contains(const struct domain_list *list, struct span domain)
{
    const char *item = list->text;

    for (unsigned i = 0; i < list->count; i++, item = next_item(item))
        if (domain_is_covered(span_of(item), domain))
            return true;
    return false;
}

/* A domain, or "." and one. */
static bool is_domain_pattern(struct span text)
{
    return setting_host.valid(span_starts_with(text, SPAN(".")) ? span_from(text, 1) : text);
}

/* What one entry of a list may be. */
typedef bool is_item_fn(struct span text);

/* A domain, or the null path. */
static bool is_sender(struct span text)
{
    return span_equal(text, SPAN("<>")) || is_domain_pattern(text);
}

static bool domain_add(struct domain_list *list, size_t *used, struct span text, is_item_fn *is)
{
    if (!is(text) || text.len >= sizeof(list->text) - *used)
        return false;
    memcpy(list->text + *used, text.data, text.len);
    *used += text.len + 1;
    list->count++;
    return true;
}

static bool list_read(const struct settings_reading *reading, const struct setting *setting,
                      const struct tree_node *node, void *group, is_item_fn *is)
{
    struct domain_list *list = (void *)((char *)group + setting->offset);
    size_t used = 0;
    bool fine = true;

    if (node->kind != TREE_LIST)
        return setting_refuse_value(reading, setting, node);
    memset(list, 0, sizeof(*list));
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_node *item = &node->children[i];
        if (item->kind != TREE_TEXT || !domain_add(list, &used, item->text, is))
            fine = setting_refuse_value(reading, setting, item);
    }
    return fine;
}

static bool domains_read(const struct settings_reading *reading, const struct setting *setting,
                         const struct tree_node *node, void *group)
{
    return list_read(reading, setting, node, group, is_domain_pattern);
}

static bool senders_read(const struct settings_reading *reading, const struct setting *setting,
                         const struct tree_node *node, void *group)
{
    return list_read(reading, setting, node, group, is_sender);
}

static void domains_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct domain_list *list = (const void *)((const char *)group + setting->offset);
    const char *item = list->text;

    ensure(buf_append(out, SPAN("[ ")));
    for (unsigned i = 0; i < list->count; i++, item = next_item(item)) {
        ensure(buf_append(out, i > 0 ? SPAN(", ") : SPAN("")));
        setting_write_text(item, out);
    }
    ensure(buf_append(out, SPAN(" ]")));
}

/* --- rules for clients ----------------------------------------------------------------------- */

const struct client_rule *client_rules_find(const struct client_rules *rules, struct span user,
                                            const struct ip_address *client)
{
    for (unsigned i = 0; i < rules->count; i++) {
        const struct client_rule *rule = &rules->items[i];
        if (rule->user[0] == '\0' ? network_contains(&rule->network, client)
                                  : user.len > 0 && (strcmp(rule->user, "*") == 0 ||
                                                     span_equal(user, span_of(rule->user))))
            return rule;
    }
    return NULL;
}

static bool pattern_covers(struct span pattern, struct span address)
{
    struct span domain = address;
    struct span local_part;

    if (span_equal(pattern, SPAN("*")) || span_equal_nocase(pattern, address))
        return true;
    while (span_find(domain, '@') < domain.len)
        span_cut(&domain, '@', &local_part);
    return domain.len < address.len && domain_is_covered(pattern, domain);
}

bool client_rule_allows(const struct client_rule *rule, struct span address)
{
    const char *item = rule->patterns;

    for (unsigned i = 0; i < rule->count; i++, item = next_item(item))
        if (pattern_covers(span_of(item), address))
            return true;
    return false;
}

static bool is_pattern(struct span text)
{
    return span_equal(text, SPAN("*")) || setting_mailbox.valid(text) || is_domain_pattern(text);
}

/* "user ada" or "network 192.0.2.0/24". */
static bool who_read(struct span text, struct client_rule *out)
{
    struct span kind;

    if (!span_cut(&text, ' ', &kind))
        return false;
    text = span_trim(text);
    if (span_equal(kind, SPAN("network")))
        return network_parse(text, &out->network);
    return span_equal(kind, SPAN("user")) && text.len > 0 && setting_text.valid(text) &&
           span_to_string(text, out->user, sizeof(out->user));
}

static bool patterns_read(struct span text, struct client_rule *out)
{
    struct span item;
    size_t used = 0;

    while (span_cut(&text, ',', &item)) {
        item = span_trim(item);
        if (!is_pattern(item) || item.len >= sizeof(out->patterns) - used)
            return false;
        memcpy(out->patterns + used, item.data, item.len);
        used += item.len + 1;
        out->count++;
    }
    return out->count > 0;
}

/* The address of a network may hold colons: what is behind the last one with a blank counts. */
static size_t end_of_who(struct span text)
{
    size_t at = 0;

    while (at < text.len && !span_starts_with(span_from(text, at), SPAN(": ")))
        at++;
    return at;
}

static bool client_rule_read(struct span text, struct client_rule *out)
{
    size_t at = end_of_who(text);

    memset(out, 0, sizeof(*out));
    return at < text.len && who_read(span_first(text, at), out) &&
           patterns_read(span_from(text, at + 1), out);
}

static bool client_rules_read(const struct settings_reading *reading, const struct setting *setting,
                              const struct tree_node *node, void *group)
{
    struct client_rules *rules = (void *)((char *)group + setting->offset);
    bool fine = true;

    if (node->kind != TREE_LIST)
        return setting_refuse_value(reading, setting, node);
    if (node->count > SETTINGS_RULES_MAX)
        return setting_has_too_many(reading, setting, node, SETTINGS_RULES_MAX);
    memset(rules, 0, sizeof(*rules));
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_node *item = &node->children[i];
        if (item->kind == TREE_TEXT && client_rule_read(item->text, &rules->items[rules->count]))
            rules->count++;
        else
            fine = setting_refuse_value(reading, setting, item);
    }
    return fine;
}

static void client_rule_format(const struct client_rule *rule, struct buf *text)
{
    char network[NETWORK_TEXT_SIZE];
    const char *item = rule->patterns;

    network_format(&rule->network, network);
    ensure(rule->user[0] != '\0' ? buf_printf(text, "user %s: ", rule->user)
                                 : buf_printf(text, "network %s: ", network));
    for (unsigned i = 0; i < rule->count; i++, item = next_item(item))
        ensure(buf_printf(text, "%s%s", i > 0 ? ", " : "", item));
}

static void client_rules_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct client_rules *rules = (const void *)((const char *)group + setting->offset);
    char text[SETTINGS_NAME_SIZE + 2 * SETTINGS_PATTERNS_SIZE];
    struct buf room;

    ensure(buf_append(out, SPAN("[ ")));
    for (unsigned i = 0; i < rules->count; i++) {
        buf_init(&room, sizeof(text) - 1);
        client_rule_format(&rules->items[i], &room);
        ensure(span_to_string(buf_span(&room), text, sizeof(text)));
        buf_clear(&room);
        ensure(buf_append(out, i > 0 ? SPAN(", ") : SPAN("")));
        setting_write_text(text, out);
    }
    ensure(buf_append(out, SPAN(" ]")));
}

/* --- the types ------------------------------------------------------------------------------- */

const struct setting_type setting_domains = {
    "domains",
    "a list of domains in ASCII such as [ \"example.net\", \".example.org\" ], the second for all "
    "below example.org; 4 KiB together",
    domains_read,
    domains_write,
    NULL,
    NULL,
};
const struct setting_type setting_senders = {
    "senders",
    "a list of domains in ASCII such as [ \"example.net\", \".example.org\", \"<>\" ], the last "
    "for "
    "mail without a sender; 4 KiB together",
    senders_read,
    domains_write,
    NULL,
    NULL,
};
const struct setting_type setting_client_rules = {
    "client rules",
    "a list such as [ \"user ada: ada@example.net, example.org\", \"network 192.0.2.0/24: "
    ".example.net\" ]",
    client_rules_read,
    client_rules_write,
    NULL,
    NULL,
};
