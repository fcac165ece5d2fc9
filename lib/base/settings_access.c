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

static bool domain_add(struct domain_list *list, size_t *used, struct span text)
{
    if (!is_domain_pattern(text) || text.len >= sizeof(list->text) - *used)
        return false;
    memcpy(list->text + *used, text.data, text.len);
    *used += text.len + 1;
    list->count++;
    return true;
}

static bool domains_read(const struct settings_reading *reading, const struct setting *setting,
                         const struct tree_node *node, void *group)
{
    struct domain_list *list = (void *)((char *)group + setting->offset);
    size_t used = 0;
    bool fine = true;

    if (node->kind != TREE_LIST)
        return setting_refuse_value(reading, setting, node);
    memset(list, 0, sizeof(*list));
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_node *item = &node->children[i];
        if (item->kind != TREE_TEXT || !domain_add(list, &used, item->text))
            fine = setting_refuse_value(reading, setting, item);
    }
    return fine;
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
