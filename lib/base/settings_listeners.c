#include "lib/base/settings_table.h"

#include "lib/base/certificate_pattern.h"

#include <stdio.h>
#include <string.h>

/* --- one or several: a text, or a list of texts ---------------------------------------------- */

bool setting_read_items(const struct settings_reading *reading, const struct setting *setting,
                        const struct tree_node *node, unsigned most, setting_item_fn *read,
                        void *group)
{
    size_t count = node->kind == TREE_LIST ? node->count : 1;
    const struct tree_node *items = node->kind == TREE_LIST ? node->children : node;
    bool fine = true;

    if (count > most)
        return setting_has_too_many(reading, setting, node, most);
    for (size_t i = 0; i < count; i++)
        if (items[i].kind != TREE_TEXT || !read(items[i].text, setting, group))
            fine = setting_refuse_value(reading, setting, &items[i]);
    return fine;
}

/* --- addresses ------------------------------------------------------------------------------- */

/* One Unix socket is enough: everybody on this machine can reach it. */
static bool unix_path_read(struct span path, struct listener_settings *l)
{
    return setting_path.valid(path) && path.data[path.len - 1] != '/' && l->unix_path[0] == '\0' &&
           span_to_string(path, l->unix_path, sizeof(l->unix_path));
}

static bool listen_address_read(struct span text, const struct setting *setting, void *group)
{
    struct listener_settings *l = group;

    (void)setting;
    if (span_starts_with(text, SPAN(SETTINGS_UNIX_FORM)))
        return unix_path_read(span_from(text, sizeof(SETTINGS_UNIX_FORM) - 1), l);
    if (!endpoint_parse(text, 0, &l->addresses[l->address_count]))
        return false;
    l->address_count++;
    return true;
}

static bool listen_addresses_read(const struct settings_reading *reading,
                                  const struct setting *setting, const struct tree_node *node,
                                  void *group)
{
    struct listener_settings *l = group;

    memset(l->addresses, 0, sizeof(l->addresses));
    l->address_count = 0;
    memset(l->unix_path, 0, sizeof(l->unix_path));
    return setting_read_items(reading, setting, node, SETTINGS_ADDRESSES_MAX, listen_address_read,
                              group);
}

static void listen_addresses_write(const struct setting *setting, const void *group,
                                   struct buf *out)
{
    const struct listener_settings *l = group;
    char text[NETWORK_TEXT_SIZE];

    (void)setting;
    ensure(buf_append(out, SPAN("[ ")));
    for (unsigned i = 0; i < l->address_count; i++) {
        endpoint_format(&l->addresses[i], text);
        ensure(buf_printf(out, "%s\"%s\"", i > 0 ? ", " : "", text));
    }
    if (l->unix_path[0] != '\0') {
        char path[sizeof(SETTINGS_UNIX_FORM) + SETTINGS_UNIX_SIZE];
        snprintf(path, sizeof(path), SETTINGS_UNIX_FORM "%s", l->unix_path);
        ensure(buf_append(out, l->address_count > 0 ? SPAN(", ") : SPAN("")));
        setting_write_text(path, out);
    }
    ensure(buf_append(out, SPAN(" ]")));
}

void listener_settings_label(const struct listener_settings *l, char text[SETTINGS_UNIX_SIZE])
{
    if (l->name[0] != '\0')
        snprintf(text, SETTINGS_UNIX_SIZE, "%s", l->name);
    else if (l->address_count > 0)
        endpoint_format(&l->addresses[0], text);
    else
        memcpy(text, l->unix_path, SETTINGS_UNIX_SIZE);
}

/* --- paths ----------------------------------------------------------------------------------- */

static size_t paths_length(const struct path_list *list)
{
    size_t len = 0;

    for (unsigned i = 0; i < list->count; i++)
        len += strlen(list->text + len) + 1;
    return len;
}

const char *path_list_item(const struct path_list *list, unsigned n)
{
    const char *item = list->text;

    ensure(n < list->count);
    while (n-- > 0)
        item += strlen(item) + 1;
    return item;
}

static bool path_read(struct span text, const struct setting *setting, void *group)
{
    struct path_list *list = (void *)((char *)group + setting->offset);
    size_t used = paths_length(list);

    if (!setting_path.valid(text) || text.len >= SETTINGS_PATH_SIZE ||
        text.len >= sizeof(list->text) - used)
        return false;
    memcpy(list->text + used, text.data, text.len);
    list->count++;
    return true;
}

static bool paths_read(const struct settings_reading *reading, const struct setting *setting,
                       const struct tree_node *node, void *group)
{
    memset((char *)group + setting->offset, 0, sizeof(struct path_list));
    if (node->kind == TREE_TEXT && node->text.len == 0)
        return true;
    return setting_read_items(reading, setting, node, SETTINGS_CERTIFICATES_MAX, path_read, group);
}

static void paths_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct path_list *list = (const void *)((const char *)group + setting->offset);

    ensure(buf_append(out, SPAN("[ ")));
    for (unsigned i = 0; i < list->count; i++) {
        ensure(buf_append(out, i > 0 ? SPAN(", ") : SPAN("")));
        setting_write_text(path_list_item(list, i), out);
    }
    ensure(buf_append(out, SPAN(" ]")));
}

/* --- listeners ------------------------------------------------------------------------------- */

static bool is_filled(const struct tree_node *node)
{
    if (node->kind == TREE_LIST)
        return node->count > 0;
    return node->kind != TREE_TEXT || node->text.len > 0;
}

bool setting_is_given(const struct tree_node *node, const char *name)
{
    for (size_t i = 0; i < node->count; i++)
        if (strcmp(node->children[i].name, name) == 0)
            return is_filled(&node->children[i]);
    return false;
}

/* Is there an entry that is worth nothing without an authority? */
static bool names_need_trust(const struct certificate_list *list)
{
    struct span pattern, user;
    size_t at = 0;

    while (certificate_list_next(list, &at, &pattern, &user))
        if (certificate_pattern_needs_trust(pattern))
            return true;
    return false;
}

bool setting_faults_absent(const struct settings_reading *reading, const struct setting *setting,
                           const struct tree_node *node, const struct setting_fault *faults,
                           size_t count)
{
    bool fine = true;

    for (size_t i = 0; i < count; i++)
        if (faults[i].is_there)
            fine =
                setting_refuse_for(reading, setting, node->line, faults[i].what, faults[i].right);
    return fine;
}

static bool listener_is_whole(const struct settings_reading *reading, const struct setting *setting,
                              const struct tree_node *node, const struct listener_settings *l)
{
    bool certified = setting_is_given(node, "tls-certificate"),
         half = certified != setting_is_given(node, "tls-key");
    bool asks_nobody = l->tls_client_certificates == CLIENTS_NONE;
    const struct setting_fault faults[] = {
        { !setting_is_given(node, "address"), "lacks an address in this entry",
          "address = \"192.0.2.1:25\"" },
        { half, "has an entry with only one of tls-certificate and tls-key",
          "both or none of them" },
        { !half && l->tls_certificate.count != l->tls_key.count,
          "has an entry with not as many of tls-key as of tls-certificate",
          "the key of each certificate, in the same order" },
        { l->auth == LISTENER_AUTH_REQUIRED && !certified,
          "has an entry with auth = \"required\" and no tls-certificate, but passwords are taken "
          "inside TLS only",
          "tls-certificate and tls-key, or auth = \"off\"" },
        { l->tls >= LISTENER_TLS_REQUIRED && !certified,
          "has an entry that requires TLS and names no tls-certificate",
          "tls-certificate and tls-key, or tls = \"none\"" },
        { l->tls_client_ca[0] != '\0' && asks_nobody,
          "has an entry with tls-client-ca that asks no client for a certificate",
          "tls-client-certificates = \"request\"" },
        { l->relay_certificates.count + l->certificate_users.count > 0 && asks_nobody,
          "has an entry with relay-certificates or certificate-users that asks no client for a "
          "certificate",
          "tls-client-certificates = \"request\"" },
        { l->tls_client_ca[0] == '\0' &&
              (names_need_trust(&l->relay_certificates) || names_need_trust(&l->certificate_users)),
          "has an entry that knows certificates by name and no tls-client-ca to vouch for them",
          "tls-client-ca = \"/etc/waxseal/clients.pem\", or fingerprints instead of names" },
        { l->tls_client_certificates == CLIENTS_REQUIRE && l->tls < LISTENER_TLS_REQUIRED,
          "has an entry that requires certificates of clients, but not TLS", "tls = \"required\"" },
    };

    return setting_faults_absent(reading, setting, node, faults,
                                 sizeof(faults) / sizeof(faults[0]));
}

/* What is taken from anybody has to be deliverable. */
static bool edge_is_whole(const struct settings_reading *reading, const struct setting *setting,
                          const struct tree_node *node, const struct listener_settings *l)
{
    bool relays = setting_is_given(node, "relay-to"), lists = setting_is_given(node, "recipients");
    bool verifies = l->verify_recipients == VERIFY_NEXT_HOP;
    const struct setting_fault faults[] = {
        { l->preset == PRESET_EDGE && !relays,
          "has an entry with preset = \"edge\" and no relay-to, so that nobody could send anything "
          "there",
          "relay-to = [ \"example.net\" ]" },
        { relays && !lists && !verifies,
          "has an entry with relay-to and neither recipients nor verify-recipients, so that mail "
          "would be taken that can only bounce",
          "recipients = \"/etc/waxseal/recipients\", or verify-recipients = \"next-hop\"" },
        { lists && verifies, "has an entry with both recipients and verify-recipients",
          "only one of them" },
    };

    return setting_faults_absent(reading, setting, node, faults,
                                 sizeof(faults) / sizeof(faults[0]));
}

/* The members that a preset sets otherwise than the defaults do: relaying is for users then. */
static const char *const presets[] = {
    [PRESET_RELAY] = "",
    [PRESET_SUBMISSION] = "tls = \"required\"; auth = \"required\"; relay-from = [ ];"
                          " submission-fixes = \"on\";",
    [PRESET_SUBMISSIONS] = "tls = \"implicit\"; auth = \"required\"; relay-from = [ ];"
                           " submission-fixes = \"on\";",
    [PRESET_EDGE] = "relay-from = [ ]; auth = \"off\";",
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

static bool has_address(const struct listener_settings *l, unsigned count,
                        const struct endpoint *address)
{
    for (unsigned i = 0; i < count; i++)
        if (l->addresses[i].port == address->port &&
            ip_address_equal(&l->addresses[i].address, &address->address))
            return true;
    return false;
}

static bool has_unix_path(const struct settings *s, const char *path)
{
    for (unsigned i = 0; i < s->listener_count; i++)
        if (path[0] != '\0' && strcmp(s->listeners[i].unix_path, path) == 0)
            return true;
    return false;
}

/* Is one of its addresses there twice, among its own or with those before it? */
static bool shares_an_address(const struct settings *s, const struct listener_settings *l)
{
    if (has_unix_path(s, l->unix_path))
        return true;
    for (unsigned n = 0; n < l->address_count; n++) {
        if (has_address(l, n, &l->addresses[n]))
            return true;
        for (unsigned i = 0; i < s->listener_count; i++)
            if (has_address(&s->listeners[i], s->listeners[i].address_count, &l->addresses[n]))
                return true;
    }
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
    fine = edge_is_whole(reading, setting, node, l) && fine;
    if (!listener_is_whole(reading, setting, node, l) || !fine)
        return false;
    if (is_called(s, l->name))
        return setting_refuse_for(reading, setting, node->line, "has two entries with this name",
                                  "another name");
    if (shares_an_address(s, l))
        return setting_refuse_for(reading, setting, node->line, "has two entries with this address",
                                  "each address once");
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
        return setting_has_too_many(reading, setting, node, SETTINGS_LISTENERS_MAX);
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

const struct setting_type setting_listen_addresses = {
    "addresses",
    "an address and a port, \"192.0.2.1:25\" or \"[2001:db8::1]:25\", one Unix socket, "
    "\"unix:/path\", or a list of them",
    listen_addresses_read,
    listen_addresses_write,
    NULL,
    NULL,
};
const struct setting_type setting_paths = {
    "paths", "a path that begins with /, or a list of them", paths_read, paths_write, NULL, NULL,
};
const struct setting_type setting_listeners = {
    "listeners",    "( { address = \"127.0.0.1:25\"; relay-from = [ \"127.0.0.0/8\" ]; } )",
    listeners_read, listeners_write,
    NULL,           NULL,
};
