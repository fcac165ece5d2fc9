#include "lib/base/settings_table.h"

#include <stdio.h>
#include <string.h>

/* --- networks -------------------------------------------------------------------------------- */

static bool too_many(const struct settings_reading *reading, const struct setting *setting,
                     const struct tree_node *node, unsigned most)
{
    char what[40];

    snprintf(what, sizeof(what), "has more than %u entries", most);
    return setting_refuse(reading, setting, node->line, what);
}

bool settings_have_users(const struct settings *s)
{
    return s->users_file[0] != '\0';
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
        return too_many(reading, setting, node, SETTINGS_NETWORKS_MAX);
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

static bool listen_address_read(const struct settings_reading *reading,
                                const struct setting *setting, const struct tree_node *node,
                                void *group)
{
    struct endpoint endpoint;

    if (node->kind != TREE_TEXT || !endpoint_parse(node->text, 0, &endpoint))
        return setting_refuse_value(reading, setting, node);
    memcpy((char *)group + setting->offset, &endpoint, sizeof(endpoint));
    return true;
}

static void listen_address_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct endpoint *endpoint = (const void *)((const char *)group + setting->offset);
    char text[NETWORK_TEXT_SIZE];

    endpoint_format(endpoint, text);
    ensure(buf_printf(out, "\"%s\"", text));
}

enum { DNS_PORT = 53 };

static bool resolvers_read(const struct settings_reading *reading, const struct setting *setting,
                           const struct tree_node *node, void *group)
{
    struct settings *s = group;
    bool fine = true;

    if (node->kind != TREE_LIST)
        return setting_refuse_value(reading, setting, node);
    if (node->count > SETTINGS_RESOLVERS_MAX)
        return too_many(reading, setting, node, SETTINGS_RESOLVERS_MAX);
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

/* --- listeners ------------------------------------------------------------------------------- */

/* Is this member written, and not as an empty text?  Asked also when its value is wrong. */
static bool is_given(const struct tree_node *node, const char *name)
{
    for (size_t i = 0; i < node->count; i++)
        if (strcmp(node->children[i].name, name) == 0)
            return node->children[i].kind != TREE_TEXT || node->children[i].text.len > 0;
    return false;
}

/* Facts about one listener as a whole. */
static bool listener_is_whole(const struct settings_reading *reading, const struct setting *setting,
                              const struct tree_node *node, const struct listener_settings *l)
{
    bool fine = true;

    if (!is_given(node, "address"))
        fine = setting_refuse(reading, setting, node->line, "lacks an address in this entry");
    if (is_given(node, "tls-certificate") != is_given(node, "tls-key"))
        fine = setting_refuse(reading, setting, node->line,
                              "has an entry with only one of tls-certificate and tls-key");
    if (l->auth == LISTENER_AUTH_REQUIRED && !is_given(node, "tls-certificate"))
        fine = setting_refuse(reading, setting, node->line,
                              "has an entry with auth = \"required\" and no tls-certificate, but "
                              "passwords are taken inside TLS only");
    if (l->tls >= LISTENER_TLS_REQUIRED && !is_given(node, "tls-certificate"))
        fine = setting_refuse(reading, setting, node->line,
                              "has an entry that requires TLS and names no tls-certificate");
    if (l->tls_client_ca[0] != '\0' && l->tls_client_certificates == CLIENTS_NONE)
        fine = setting_refuse(reading, setting, node->line,
                              "has an entry with tls-client-ca that asks no client for a "
                              "certificate (tls-client-certificates)");
    if (l->tls_client_certificates == CLIENTS_REQUIRE && l->tls < LISTENER_TLS_REQUIRED)
        fine = setting_refuse(reading, setting, node->line,
                              "has an entry that requires certificates of clients, but not TLS");
    return fine;
}

/* The members that a preset sets otherwise than the defaults do: relaying is for users then. */
static const char *const presets[] = {
    [PRESET_RELAY] = "",
    [PRESET_SUBMISSION] = "tls = \"required\"; auth = \"required\"; relay-from = [ ];"
                          " submission-fixes = \"on\";",
    [PRESET_SUBMISSIONS] = "tls = \"implicit\"; auth = \"required\"; relay-from = [ ];"
                           " submission-fixes = \"on\";",
};

static void apply_preset(struct listener_settings *l)
{
    struct settings_errors errors;
    struct settings_reading reading = { "preset", &errors };
    struct tree *tree;

    settings_errors_init(&errors);
    tree = tree_parse(span_of(presets[l->preset]), reading.file, &errors);
    ensure(settings_read_group(&reading, "listeners", tree_root(tree), l) && errors.count == 0);
    tree_free(&tree);
    settings_errors_clear(&errors);
}

/* What is not written is as the preset has it; reading the entry twice finds the preset first. */
static bool listener_members_read(const struct settings_reading *reading,
                                  const struct tree_node *node, struct listener_settings *l)
{
    struct settings_errors unsaid;

    settings_group_defaults("listeners", l);
    settings_errors_init(&unsaid);
    settings_read_group(&(struct settings_reading){ "", &unsaid }, "listeners", node, l);
    settings_errors_clear(&unsaid);
    apply_preset(l);
    return settings_read_group(reading, "listeners", node, l);
}

static bool is_called(const struct settings *s, const char *name)
{
    for (unsigned i = 0; i < s->listener_count; i++)
        if (name[0] != '\0' && strcmp(s->listeners[i].name, name) == 0)
            return true;
    return false;
}

static bool is_taken(const struct settings *s, const struct endpoint *address)
{
    for (unsigned i = 0; i < s->listener_count; i++)
        if (s->listeners[i].address.port == address->port &&
            ip_address_equal(&s->listeners[i].address.address, &address->address))
            return true;
    return false;
}

static bool listener_read(const struct settings_reading *reading, const struct setting *setting,
                          const struct tree_node *node, struct settings *s)
{
    struct listener_settings *l = &s->listeners[s->listener_count];
    bool fine;

    if (node->kind != TREE_GROUP)
        return setting_refuse_value(reading, setting, node);
    memset(l, 0, sizeof(*l));
    fine = listener_members_read(reading, node, l);
    if (!listener_is_whole(reading, setting, node, l) || !fine)
        return false;
    if (is_called(s, l->name))
        return setting_refuse(reading, setting, node->line, "has two entries with this name");
    if (is_taken(s, &l->address))
        return setting_refuse(reading, setting, node->line, "has two entries with this address");
    s->listener_count++;
    return true;
}

static bool listeners_read(const struct settings_reading *reading, const struct setting *setting,
                           const struct tree_node *node, void *group)
{
    struct settings *s = group;
    bool fine = true;

    if (node->kind != TREE_LIST || node->count == 0)
        return setting_refuse_value(reading, setting, node);
    if (node->count > SETTINGS_LISTENERS_MAX)
        return too_many(reading, setting, node, SETTINGS_LISTENERS_MAX);
    memset(s->listeners, 0, sizeof(s->listeners));
    s->listener_count = 0;
    for (size_t i = 0; i < node->count; i++)
        fine = listener_read(reading, setting, &node->children[i], s) && fine;
    return fine;
}

static void listeners_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct settings *s = group;

    (void)setting;
    ensure(buf_append(out, SPAN("(")));
    for (unsigned i = 0; i < s->listener_count; i++) {
        ensure(buf_printf(out, "%s { ", i > 0 ? "," : ""));
        settings_write_group("listeners", &s->listeners[i], " ", out);
        ensure(buf_append(out, SPAN("}")));
    }
    ensure(buf_append(out, SPAN(" )")));
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
const struct setting_type setting_listen_address = {
    "address",
    "an address and a port, \"192.0.2.1:25\" or \"[2001:db8::1]:25\"",
    listen_address_read,
    listen_address_write,
    NULL,
    NULL,
};
const struct setting_type setting_resolvers = {
    "addresses",    "a list of addresses such as [ \"127.0.0.1\", \"[2001:db8::1]:5353\" ]",
    resolvers_read, resolvers_write,
    NULL,           NULL,
};
const struct setting_type setting_listeners = {
    "listeners",    "( { address = \"127.0.0.1:25\"; relay-from = [ \"127.0.0.0/8\" ]; } )",
    listeners_read, listeners_write,
    NULL,           NULL,
};
