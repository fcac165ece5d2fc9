/* Types of settings that name certificates of clients, and the users that some of them stand for.
 */
#include "lib/base/settings_table.h"

#include "lib/base/certificate_pattern.h"

#include <stdio.h>
#include <string.h>

static size_t length_of(const struct certificate_list *list)
{
    size_t len = 0;

    for (unsigned i = 0; i < list->count; i++)
        len += strlen(list->text + len) + 1;
    return len;
}

bool certificate_list_next(const struct certificate_list *list, size_t *at,
                           struct span *out_pattern, struct span *out_user)
{
    struct span item = span_of(list->text + *at);

    if (*at >= sizeof(list->text) || item.len == 0)
        return false;
    *out_pattern = span_first(item, span_find(item, ' '));
    *out_user = span_from(item, out_pattern->len + 1);
    *at += item.len + 1;
    return true;
}

/* As users-file has them: printable ASCII without blank and colon. */
static bool is_user(struct span name)
{
    return name.len > 0 && name.len <= SETTINGS_USER_NAME_MAX && span_is_printable(name) &&
           span_find(name, ' ') == name.len && span_find(name, ':') == name.len &&
           span_find(name, '"') == name.len && span_find(name, '\\') == name.len;
}

static bool append(struct certificate_list *list, const char *item)
{
    size_t used = length_of(list);
    size_t len = strlen(item);

    if (len + 1 >= sizeof(list->text) - used) /* one NUL more is the end */
        return false;
    memcpy(list->text + used, item, len);
    list->count++;
    return true;
}

/* "PATTERN", or with `has_user` "PATTERN USER". */
static bool item_read(struct span text, bool has_user, struct certificate_list *list)
{
    struct span pattern = span_first(text, span_find(text, ' '));
    struct span user = span_trim(span_from(text, pattern.len));
    char item[CERTIFICATE_PATTERN_SIZE + SETTINGS_USER_NAME_MAX + 2];
    size_t len;

    if (!certificate_pattern_normalize(pattern, item) || (user.len > 0) != has_user)
        return false;
    if (!has_user)
        return append(list, item);
    if (!is_user(user))
        return false;
    len = strlen(item);
    item[len] = ' ';
    memcpy(item + len + 1, user.data, user.len);
    item[len + 1 + user.len] = '\0';
    return append(list, item);
}

static bool list_read(const struct settings_reading *reading, const struct setting *setting,
                      const struct tree_node *node, void *group, bool has_user)
{
    struct certificate_list *list = (void *)((char *)group + setting->offset);
    bool fine = true;

    if (node->kind != TREE_LIST)
        return setting_refuse_value(reading, setting, node);
    memset(list, 0, sizeof(*list));
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_node *item = &node->children[i];
        if (item->kind != TREE_TEXT || !item_read(item->text, has_user, list))
            fine = setting_refuse_value(reading, setting, item);
    }
    return fine;
}

static bool certificates_read(const struct settings_reading *reading, const struct setting *setting,
                              const struct tree_node *node, void *group)
{
    return list_read(reading, setting, node, group, false);
}

static bool certificate_users_read(const struct settings_reading *reading,
                                   const struct setting *setting, const struct tree_node *node,
                                   void *group)
{
    return list_read(reading, setting, node, group, true);
}

static void list_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct certificate_list *list = (const void *)((const char *)group + setting->offset);
    const char *item = list->text;

    ensure(buf_append(out, SPAN("[ ")));
    for (unsigned i = 0; i < list->count; i++, item += strlen(item) + 1)
        ensure(buf_printf(out, "%s\"%s\"", i > 0 ? ", " : "", item));
    ensure(buf_append(out, SPAN(" ]")));
}

const struct setting_type setting_certificates = {
    "certificates",
    "a list of \"sha256:HEX\", \"key-sha256:HEX\", \"name:HOST\", \"mail:MAILBOX\" or \"trusted\", "
    "of 8 KiB in all",
    certificates_read,
    list_write,
    NULL,
    NULL,
};
const struct setting_type setting_certificate_users = {
    "certificate users",
    "a list such as [ \"name:app.example.net ada\" ], of 8 KiB in all",
    certificate_users_read,
    list_write,
    NULL,
    NULL,
};
