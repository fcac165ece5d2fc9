#include "lib/base/settings_table.h"

#include <stdio.h>
#include <string.h>

/* --- networks -------------------------------------------------------------------------------- */

bool setting_has_too_many(const struct settings_reading *reading, const struct setting *setting,
                          const struct tree_node *node, unsigned most)
{
    char what[40];

    snprintf(what, sizeof(what), "has more than %u entries", most);
    return setting_refuse(reading, setting, node->line, what);
}

bool settings_have_users(const struct settings *s)
{
    return s->users_file[0] != '\0' || s->dovecot_socket[0] != '\0';
}

bool network_list_contains(const struct network_list *list, const struct ip_address *address)
{
    for (unsigned i = 0; i < list->count; i++)
        if (network_contains(&list->items[i], address))
            return true;
    return false;
}

static bool networks_read(const struct settings_reading *reading, const struct setting *setting,
                          const struct tree_node *node, void *group)
{
    struct network_list list = { .count = 0 };
    bool fine = true;

    if (node->kind != TREE_LIST)
        return setting_refuse_value(reading, setting, node);
    if (node->count > SETTINGS_NETWORKS_MAX)
        return setting_has_too_many(reading, setting, node, SETTINGS_NETWORKS_MAX);
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_node *item = &node->children[i];
        if (item->kind == TREE_TEXT && network_parse(item->text, &list.items[list.count]))
            list.count++;
        else
            fine = setting_refuse_value(reading, setting, item);
    }
    memcpy((char *)group + setting->offset, &list, sizeof(list));
    return fine;
}

static void networks_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct network_list *list = (const void *)((const char *)group + setting->offset);
    char text[NETWORK_TEXT_SIZE];

    ensure(buf_append(out, SPAN("[ ")));
    for (unsigned i = 0; i < list->count; i++) {
        network_format(&list->items[i], text);
        ensure(buf_printf(out, "%s\"%s\"", i > 0 ? ", " : "", text));
    }
    ensure(buf_append(out, SPAN(" ]")));
}

/* A listener that relays for so much of the internet would be an open relay. */
static bool is_too_wide(const struct network *n)
{
    return n->bits < (n->address.family == ADDRESS_V4 ? 8 : 32);
}

static bool relay_networks_read(const struct settings_reading *reading,
                                const struct setting *setting, const struct tree_node *node,
                                void *group)
{
    const struct network_list *list = (const void *)((const char *)group + setting->offset);
    bool fine = networks_read(reading, setting, node, group);

    if (!fine)
        return false;
    for (unsigned i = 0; i < list->count; i++)
        if (is_too_wide(&list->items[i]))
            fine = setting_refuse(reading, setting, node->children[i].line,
                                  "would make an open relay: a network is wider than /8 (IPv4) or "
                                  "/32 (IPv6)");
    return fine;
}

/* --- addresses ------------------------------------------------------------------------------- */

enum { DNS_PORT = 53 };

static bool resolvers_read(const struct settings_reading *reading, const struct setting *setting,
                           const struct tree_node *node, void *group)
{
    struct settings *s = group;
    bool fine = true;

    if (node->kind != TREE_LIST)
        return setting_refuse_value(reading, setting, node);
    if (node->count > SETTINGS_RESOLVERS_MAX)
        return setting_has_too_many(reading, setting, node, SETTINGS_RESOLVERS_MAX);
    memset(s->resolvers, 0, sizeof(s->resolvers));
    s->resolver_count = 0;
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_node *item = &node->children[i];
        if (item->kind == TREE_TEXT &&
            endpoint_parse(item->text, DNS_PORT, &s->resolvers[s->resolver_count]))
            s->resolver_count++;
        else
            fine = setting_refuse_value(reading, setting, item);
    }
    return fine;
}

static void resolvers_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct settings *s = group;
    char text[NETWORK_TEXT_SIZE];

    (void)setting;
    ensure(buf_append(out, SPAN("[ ")));
    for (unsigned i = 0; i < s->resolver_count; i++) {
        endpoint_format(&s->resolvers[i], text);
        ensure(buf_printf(out, "%s\"%s\"", i > 0 ? ", " : "", text));
    }
    ensure(buf_append(out, SPAN(" ]")));
}

/* --- words: bits, in the order of the range's words ------------------------------------------- */

/* 0: it is none of them. */
static unsigned bit_of_word(const struct setting *setting, const struct tree_node *item)
{
    struct span words = span_of(setting->range_text);
    struct span word;

    for (unsigned bit = 1; span_cut(&words, ',', &word); bit *= 2)
        if (item->kind == TREE_TEXT && span_equal(span_trim(word), item->text))
            return bit;
    return 0;
}

static bool words_read(const struct settings_reading *reading, const struct setting *setting,
                       const struct tree_node *node, void *group)
{
    unsigned bits = 0;
    bool fine = true;

    if (node->kind != TREE_LIST)
        return setting_refuse_value(reading, setting, node);
    for (size_t i = 0; i < node->count; i++) {
        unsigned bit = bit_of_word(setting, &node->children[i]);
        bits |= bit;
        if (bit == 0)
            fine = setting_refuse_value(reading, setting, &node->children[i]);
    }
    memcpy((char *)group + setting->offset, &bits, sizeof(bits));
    return fine;
}

static void words_write(const struct setting *setting, const void *group, struct buf *out)
{
    struct span words = span_of(setting->range_text);
    const char *comma = "";
    struct span word;
    unsigned bits;

    memcpy(&bits, (const char *)group + setting->offset, sizeof(bits));
    ensure(buf_append(out, SPAN("[ ")));
    for (unsigned bit = 1; span_cut(&words, ',', &word); bit *= 2) {
        word = span_trim(word);
        if (bits & bit)
            ensure(buf_printf(out, "%s\"" SPAN_FMT "\"", comma, SPAN_ARG(word)));
        if (bits & bit)
            comma = ", ";
    }
    ensure(buf_append(out, SPAN(" ]")));
}

/* --- the types ------------------------------------------------------------------------------- */

#define NETWORKS_RIGHT                                                                             \
    "a list of networks such as [ \"192.0.2.0/24\", \"2001:db8::/48\" ], no bit set behind the "   \
    "prefix"

const struct setting_type setting_networks = {
    "networks", NETWORKS_RIGHT, networks_read, networks_write, NULL, NULL,
};
const struct setting_type setting_relay_networks = {
    "networks", NETWORKS_RIGHT, relay_networks_read, networks_write, NULL, NULL,
};
const struct setting_type setting_resolvers = {
    "addresses",    "a list of addresses such as [ \"127.0.0.1\", \"[2001:db8::1]:5353\" ]",
    resolvers_read, resolvers_write,
    NULL,           NULL,
};
const struct setting_type setting_words = {
    "words", "a list of some of these words", words_read, words_write, NULL, NULL,
};
