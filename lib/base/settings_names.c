/* Types of settings that are lists of texts with a meaning: names of header fields, and rewrites.
 */
#include "lib/base/settings_table.h"

#include <string.h>

static bool list_is_fit(const struct settings_reading *reading, const struct setting *setting,
                        const struct tree_node *node, unsigned most)
{
    if (node->kind != TREE_LIST)
        return setting_refuse_value(reading, setting, node);
    if (node->count > most)
        return setting_refuse(reading, setting, node->line, "has too many entries");
    return true;
}

static void write_item(struct buf *out, unsigned index, const char *before, const char *between,
                       const char *behind)
{
    ensure(buf_printf(out, "%s\"%s%s%s\"", index > 0 ? ", " : "", before, between, behind));
}

/* --- names of header fields ------------------------------------------------------------------ */

/* RFC 5322 s.2.2, without what would have to be escaped; Received tells loops, so it stays. */
static bool is_field_name(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_alnum(text.data[i]) && !strchr("-_.", text.data[i]))
            return false;
    return text.len > 0 && !span_equal_nocase(text, SPAN("Received"));
}

static bool field_names_read(const struct settings_reading *reading, const struct setting *setting,
                             const struct tree_node *node, void *group)
{
    struct field_names names = { .count = 0 };
    bool fine = true;

    if (!list_is_fit(reading, setting, node, SETTINGS_FIELD_NAMES_MAX))
        return false;
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_node *item = &node->children[i];
        if (item->kind == TREE_TEXT && is_field_name(item->text) &&
            span_to_string(item->text, names.items[names.count], SETTINGS_FIELD_NAME_SIZE))
            names.count++;
        else
            fine = setting_refuse_value(reading, setting, item);
    }
    memcpy((char *)group + setting->offset, &names, sizeof(names));
    return fine;
}

static void field_names_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct field_names *names = (const void *)((const char *)group + setting->offset);

    ensure(buf_append(out, SPAN("[ ")));
    for (unsigned i = 0; i < names->count; i++)
        write_item(out, i, names->items[i], "", "");
    ensure(buf_append(out, SPAN(" ]")));
}

/* --- rewrites -------------------------------------------------------------------------------- */

static bool is_domain(struct span text)
{
    return setting_host.valid(text);
}

/* An address to an address, or a domain, perhaps with "." for all below it, to a domain. */
static bool is_rewrite(struct span from, struct span to)
{
    if (setting_mailbox.valid(from))
        return setting_mailbox.valid(to);
    if (span_starts_with(from, SPAN(".")))
        from = span_from(from, 1);
    return is_domain(from) && is_domain(to);
}

static bool rewrite_read(struct span text, struct rewrite *out)
{
    static const struct span arrow = { "->", 2 };
    size_t at = 0;

    while (at < text.len && !span_starts_with(span_from(text, at), arrow))
        at++;
    struct span from = span_trim(span_first(text, at));
    struct span to = span_trim(span_from(text, at + arrow.len));
    return is_rewrite(from, to) && span_to_string(from, out->from, sizeof(out->from)) &&
           span_to_string(to, out->to, sizeof(out->to));
}

static bool rewrites_read(const struct settings_reading *reading, const struct setting *setting,
                          const struct tree_node *node, void *group)
{
    struct rewrite_list *list = (void *)((char *)group + setting->offset);
    bool fine = true;

    if (!list_is_fit(reading, setting, node, SETTINGS_REWRITES_MAX))
        return false;
    memset(list, 0, sizeof(*list));
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_node *item = &node->children[i];
        if (item->kind == TREE_TEXT && rewrite_read(item->text, &list->items[list->count]))
            list->count++;
        else
            fine = setting_refuse_value(reading, setting, item);
    }
    return fine;
}

static void rewrites_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct rewrite_list *list = (const void *)((const char *)group + setting->offset);

    ensure(buf_append(out, SPAN("[ ")));
    for (unsigned i = 0; i < list->count; i++)
        write_item(out, i, list->items[i].from, " -> ", list->items[i].to);
    ensure(buf_append(out, SPAN(" ]")));
}

/* --- the types ------------------------------------------------------------------------------- */

const struct setting_type setting_field_names = {
    "field names",
    "a list of header fields such as [ \"X-Mailer\" ], not Received, which tells loops",
    field_names_read,
    field_names_write,
    NULL,
    NULL,
};
const struct setting_type setting_rewrites = {
    "rewrites",
    "a list such as [ \"host.internal -> example.net\", \"root@a.internal -> ops@example.net\" ]",
    rewrites_read,
    rewrites_write,
    NULL,
    NULL,
};
