/* Types of settings that routes are made of: whose mail, where it goes, and over what. */
#include "lib/base/settings_table.h"

#include "lib/base/certificate_pattern.h"

#include <string.h>

/* --- lists of names: listeners, users, fingerprints ------------------------------------------ */

static size_t names_length(const struct name_list *list)
{
    size_t len = 0;

    for (unsigned i = 0; i < list->count; i++)
        len += strlen(list->text + len) + 1;
    return len;
}

const char *name_list_item(const struct name_list *list, unsigned n)
{
    const char *item = list->text;

    ensure(n < list->count);
    while (n-- > 0)
        item += strlen(item) + 1;
    return item;
}

bool name_list_contains(const struct name_list *list, struct span name)
{
    for (unsigned i = 0; i < list->count; i++)
        if (span_equal(span_of(name_list_item(list, i)), name))
            return true;
    return false;
}

static bool name_append(struct name_list *list, struct span text)
{
    size_t used = names_length(list);

    if (text.len >= sizeof(list->text) - used)
        return false;
    memcpy(list->text + used, text.data, text.len);
    list->count++;
    return true;
}

static bool name_read(struct span text, const struct setting *setting, void *group)
{
    struct name_list *list = (void *)((char *)group + setting->offset);

    return text.len > 0 && setting_text.valid(text) && name_append(list, text);
}

static bool fingerprint_read(struct span text, const struct setting *setting, void *group)
{
    struct name_list *list = (void *)((char *)group + setting->offset);
    char pattern[CERTIFICATE_PATTERN_SIZE];

    return certificate_pattern_normalize(text, pattern) &&
           (span_starts_with(span_of(pattern), SPAN("sha256:")) ||
            span_starts_with(span_of(pattern), SPAN("key-sha256:"))) &&
           name_append(list, span_of(pattern));
}

static bool list_read(const struct settings_reading *reading, const struct setting *setting,
                      const struct tree_node *node, setting_item_fn *read, void *group)
{
    if (node->kind != TREE_LIST)
        return setting_refuse_value(reading, setting, node);
    memset((char *)group + setting->offset, 0, setting->size);
    return setting_read_items(reading, setting, node, SETTINGS_NAMES_SIZE, read, group);
}

static bool names_read(const struct settings_reading *reading, const struct setting *setting,
                       const struct tree_node *node, void *group)
{
    return list_read(reading, setting, node, name_read, group);
}

static bool fingerprints_read(const struct settings_reading *reading, const struct setting *setting,
                              const struct tree_node *node, void *group)
{
    return list_read(reading, setting, node, fingerprint_read, group);
}

static void names_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct name_list *list = (const void *)((const char *)group + setting->offset);

    ensure(buf_append(out, SPAN("[ ")));
    for (unsigned i = 0; i < list->count; i++) {
        ensure(buf_append(out, i > 0 ? SPAN(", ") : SPAN("")));
        setting_write_text(name_list_item(list, i), out);
    }
    ensure(buf_append(out, SPAN(" ]")));
}

/* --- where mail goes ------------------------------------------------------------------------- */

enum { PRIORITY_USUAL = 10, WEIGHT_USUAL = 1, WEIGHT_MOST = 1000 };

static bool word_equals(struct span text, const char *word)
{
    return span_equal(text, span_of(word));
}

/* " priority N" and " weight N", each at most once. */
static bool host_rank_read(struct span text, struct route_host *host)
{
    struct span word, number;
    uint64_t value;

    while (text.len > 0) {
        if (!span_cut(&text, ' ', &word) || !span_cut(&text, ' ', &number))
            return false;
        if (word_equals(word, "priority") && host->priority == UINT32_MAX &&
            span_to_number(number, UINT16_MAX, &value))
            host->priority = (unsigned)value;
        else if (word_equals(word, "weight") && host->weight == 0 &&
                 span_to_number(number, WEIGHT_MOST, &value) && value > 0)
            host->weight = (unsigned)value;
        else
            return false;
        text = span_trim(text);
    }
    return true;
}

static bool route_host_read(struct span text, const struct setting *setting, void *group)
{
    struct route_settings *route = group;
    struct route_host host = { .priority = UINT32_MAX };
    size_t end = span_find(text, ' ');
    struct span spec = span_first(text, end);

    (void)setting;
    if (!setting_relayhost.valid(spec) || !span_to_string(spec, host.spec, sizeof(host.spec)) ||
        !host_rank_read(span_trim(span_from(text, end)), &host))
        return false;
    if (host.priority == UINT32_MAX)
        host.priority = PRIORITY_USUAL;
    if (host.weight == 0)
        host.weight = WEIGHT_USUAL;
    route->to = ROUTE_TO_HOSTS;
    route->hosts[route->host_count++] = host;
    return true;
}

/* "5.7.1": numbers of at most three digits (RFC 3463 s.2). */
static bool is_status(struct span text)
{
    struct span part;
    uint64_t number;
    unsigned parts = 0;

    while (span_cut(&text, '.', &part)) {
        if (part.len > 3 || !span_to_number(part, 999, &number))
            return false;
        parts++;
    }
    return parts == 3;
}

/* As text of a reply; a status in front is one of failure, and 5.7.1 when none is written. */
static bool error_read(struct span text, struct route_settings *route)
{
    struct span first = span_first(text, span_find(text, ' '));
    bool has_status = is_status(first);
    size_t room = sizeof(route->error_text) - sizeof("5.7.1 ") + 1;

    if (!setting_banner.valid(text) ||
        (has_status && (first.len == text.len || first.data[0] != '5' || first.data[1] != '.')))
        return false;
    if (has_status)
        return span_to_string(text, route->error_text, sizeof(route->error_text));
    memcpy(route->error_text, "5.7.1 ", strlen("5.7.1 "));
    return span_to_string(text, route->error_text + strlen("5.7.1 "), room);
}

/* One of the words that are no host; false: it is wrong. */
static bool route_word_read(struct span text, struct route_settings *route)
{
    if (span_equal(text, SPAN("mx"))) {
        route->to = ROUTE_TO_MX;
        return true;
    }
    if (span_equal(text, SPAN("discard"))) {
        route->to = ROUTE_TO_DISCARD;
        return true;
    }
    route->to = ROUTE_TO_ERROR;
    return error_read(span_trim(span_from(text, strlen("error"))), route);
}

static bool is_word(struct span text)
{
    struct span first = span_first(text, span_find(text, ' '));

    return span_equal(text, SPAN("mx")) || span_equal(text, SPAN("discard")) ||
           span_equal(first, SPAN("error"));
}

static bool route_to_read(const struct settings_reading *reading, const struct setting *setting,
                          const struct tree_node *node, void *group)
{
    struct route_settings *route = group;

    memset(route->hosts, 0, sizeof(route->hosts));
    route->host_count = 0;
    memset(route->error_text, 0, sizeof(route->error_text));
    if (node->kind == TREE_TEXT && is_word(node->text))
        return route_word_read(node->text, route) || setting_refuse_value(reading, setting, node);
    if (node->kind == TREE_LIST && node->count == 0)
        return setting_refuse_value(reading, setting, node);
    return setting_read_items(reading, setting, node, SETTINGS_ROUTE_HOSTS_MAX, route_host_read,
                              group);
}

static void route_hosts_write(const struct route_settings *route, struct buf *out)
{
    ensure(buf_append(out, SPAN("[ ")));
    for (unsigned i = 0; i < route->host_count; i++)
        ensure(buf_printf(out, "%s\"%s priority %u weight %u\"", i > 0 ? ", " : "",
                          route->hosts[i].spec, route->hosts[i].priority, route->hosts[i].weight));
    ensure(buf_append(out, SPAN(" ]")));
}

static void route_to_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct route_settings *route = group;
    char text[sizeof("error ") + SETTINGS_ROUTE_TEXT_SIZE] = "error ";

    (void)setting;
    switch (route->to) {
    case ROUTE_TO_MX:
        setting_write_text("mx", out);
        break;
    case ROUTE_TO_DISCARD:
        setting_write_text("discard", out);
        break;
    case ROUTE_TO_ERROR:
        memcpy(text + strlen(text), route->error_text, sizeof(route->error_text));
        setting_write_text(text, out);
        break;
    case ROUTE_TO_HOSTS:
        route_hosts_write(route, out);
        break;
    }
}

/* --- addresses ------------------------------------------------------------------------------- */

static bool source_read(struct span text, const struct setting *setting, void *group)
{
    struct route_settings *route = group;

    (void)setting;
    return ip_address_parse(text, &route->source_addresses[route->source_address_count]) &&
           ++route->source_address_count > 0;
}

static bool sources_read(const struct settings_reading *reading, const struct setting *setting,
                         const struct tree_node *node, void *group)
{
    struct route_settings *route = group;

    memset(route->source_addresses, 0, sizeof(route->source_addresses));
    route->source_address_count = 0;
    return setting_read_items(reading, setting, node, SETTINGS_ROUTE_SOURCES_MAX, source_read,
                              group);
}

static void sources_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct route_settings *route = group;
    char text[NETWORK_TEXT_SIZE];

    (void)setting;
    ensure(buf_append(out, SPAN("[ ")));
    for (unsigned i = 0; i < route->source_address_count; i++) {
        ip_address_format(&route->source_addresses[i], text);
        ensure(buf_printf(out, "%s\"%s\"", i > 0 ? ", " : "", text));
    }
    ensure(buf_append(out, SPAN(" ]")));
}

/* --- rates ----------------------------------------------------------------------------------- */

enum { RATE_COUNT_MOST = 1000000, RATE_SECONDS_MOST = 86400 };

static bool rate_read(const struct settings_reading *reading, const struct setting *setting,
                      const struct tree_node *node, void *group)
{
    struct message_rate rate = { 0 };
    size_t slash = span_find(node->text, '/');
    uint64_t count, seconds;

    if (node->kind != TREE_TEXT)
        return setting_refuse_value(reading, setting, node);
    if (node->text.len > 0) {
        if (!span_to_number(span_first(node->text, slash), RATE_COUNT_MOST, &count) || count == 0 ||
            !setting_duration_parse(span_from(node->text, slash + 1), &seconds) || seconds == 0 ||
            seconds > RATE_SECONDS_MOST)
            return setting_refuse_value(reading, setting, node);
        rate = (struct message_rate){ (unsigned)count, (unsigned)seconds };
    }
    memcpy((char *)group + setting->offset, &rate, sizeof(rate));
    return true;
}

static void rate_write(const struct setting *setting, const void *group, struct buf *out)
{
    struct message_rate rate;

    memcpy(&rate, (const char *)group + setting->offset, sizeof(rate));
    ensure(buf_append(out, SPAN("\"")));
    if (rate.count > 0) {
        ensure(buf_printf(out, "%u/", rate.count));
        setting_duration_write(rate.per_s, out);
    }
    ensure(buf_append(out, SPAN("\"")));
}

/* --- routes ---------------------------------------------------------------------------------- */

/* Lower case: it is part of keys that are compared byte by byte, and stands in log lines. */
static bool route_name_is_valid(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if ((!ascii_is_alnum(c) && c != '-') || ascii_lower(c) != c)
            return false;
    }
    return text.len > 0;
}

static bool route_name_read(const struct settings_reading *reading, const struct setting *setting,
                            const struct tree_node *node, void *group)
{
    char *name = (char *)group + setting->offset;

    if (node->kind != TREE_TEXT || !route_name_is_valid(node->text) ||
        !span_to_string(node->text, name, setting->size))
        return setting_refuse_value(reading, setting, node);
    return true;
}

static void route_name_write(const struct setting *setting, const void *group, struct buf *out)
{
    setting_write_text((const char *)group + setting->offset, out);
}

uint16_t settings_port_of(struct span host, const struct route_settings *route)
{
    bool has_brackets = host.len > 0 && host.data[0] == '[';
    struct span behind = span_from(host, has_brackets ? span_find(host, ']') : 0);
    uint64_t own;

    if (span_to_number(span_from(behind, span_find(behind, ':') + 1), UINT16_MAX, &own))
        return (uint16_t)own;
    if (route && route->port > 0)
        return (uint16_t)route->port;
    return route && route->implicit_tls == SWITCH_ON ? PORT_SUBMISSIONS : PORT_SMTP;
}

/* "[192.0.2.1]:587", "[2001:db8::1]" */
static bool is_address(struct span spec)
{
    struct ip_address ignored;
    struct span inside = span_first(span_from(spec, 1), span_find(span_from(spec, 1), ']'));

    if (spec.len == 0 || spec.data[0] != '[')
        return false;
    return ip_address_parse(inside, &ignored);
}

static bool names_address(const struct route_settings *r)
{
    for (unsigned i = 0; i < r->host_count; i++)
        if (is_address(span_of(r->hosts[i].spec)))
            return true;
    return false;
}

/* Passwords are never sent in clear, nor to a host that only a recipient's domain names. */
static bool route_is_whole(const struct settings_reading *reading, const struct setting *setting,
                           const struct tree_node *node, const struct route_settings *r)
{
    bool has_hosts = r->to == ROUTE_TO_HOSTS || !setting_is_given(node, "next-hop");
    bool by_fingerprint = r->tls == ROUTE_LEVEL_FINGERPRINT, encrypts = r->tls > ROUTE_LEVEL_MAY;
    const struct setting_fault faults[] = {
        { !setting_is_given(node, "name"), "lacks a name in this entry", "name = \"partner\"" },
        { !setting_is_given(node, "next-hop"), "lacks a next-hop in this entry",
          "next-hop = \"mx\"" },
        { by_fingerprint && r->tls_fingerprints.count == 0,
          "has an entry with tls = \"fingerprint\" and no tls-fingerprints",
          "tls-fingerprints = [ \"sha256:HEX\" ]" },
        { !by_fingerprint && r->tls_fingerprints.count > 0,
          "has an entry with tls-fingerprints that do not count", "tls = \"fingerprint\"" },
        { r->credentials[0] != '\0' && !has_hosts,
          "has an entry with credentials that names no host to log in to",
          "next-hop = \"[host.example]:587\"" },
        { r->credentials[0] != '\0' && !encrypts,
          "has an entry with credentials that could be sent in clear",
          "tls = \"verify\", or at least \"encrypt\"" },
        { r->implicit_tls == SWITCH_ON && !encrypts,
          "has an entry with implicit-tls that asks for no TLS", "tls = \"encrypt\" or higher" },
        { (r->tls == ROUTE_LEVEL_VERIFY || r->tls == ROUTE_LEVEL_DANE) && names_address(r),
          "has an entry whose host is an address, which no certificate and no TLSA record is for",
          "the host's name, or tls = \"fingerprint\"" },
        { r->retry_first_s > 0 && r->retry_max_s > 0 && r->retry_first_s > r->retry_max_s,
          "has an entry whose retry-first is more than its retry-max",
          "the same or less for retry-first" },
    };

    return setting_faults_absent(reading, setting, node, faults,
                                 sizeof(faults) / sizeof(faults[0]));
}

static bool is_called(const struct settings *s, const char *name)
{
    for (unsigned i = 0; i < s->route_count; i++)
        if (strcmp(s->routes[i].name, name) == 0)
            return true;
    return false;
}

static bool route_read(const struct settings_reading *reading, const struct setting *setting,
                       const struct tree_node *node, struct settings *s)
{
    struct route_settings *route = &s->routes[s->route_count];
    bool fine;

    if (node->kind != TREE_GROUP)
        return setting_refuse_value(reading, setting, node);
    memset(route, 0, sizeof(*route));
    settings_group_defaults("routes", route);
    fine = settings_read_group(reading, "routes", node, route);
    if (!route_is_whole(reading, setting, node, route) || !fine)
        return false;
    if (is_called(s, route->name))
        return setting_refuse_for(reading, setting, node->line, "has two entries with this name",
                                  "another name");
    s->route_count++;
    return true;
}

static bool routes_read(const struct settings_reading *reading, const struct setting *setting,
                        const struct tree_node *node, void *group)
{
    struct settings *s = group;
    bool fine = true;

    if (node->kind != TREE_LIST)
        return setting_refuse_value(reading, setting, node);
    if (node->count > SETTINGS_ROUTES_MAX)
        return setting_has_too_many(reading, setting, node, SETTINGS_ROUTES_MAX);
    s->route_count = 0;
    for (size_t i = 0; i < node->count; i++)
        fine = route_read(reading, setting, &node->children[i], s) && fine;
    return fine;
}

static void routes_write(const struct setting *setting, const void *group, struct buf *out)
{
    const struct settings *s = group;

    (void)setting;
    ensure(buf_append(out, SPAN("(")));
    for (unsigned i = 0; i < s->route_count; i++) {
        ensure(buf_printf(out, "%s { ", i > 0 ? "," : ""));
        settings_write_group("routes", &s->routes[i], " ", out);
        ensure(buf_append(out, SPAN("}")));
    }
    ensure(buf_append(out, SPAN(" )")));
}

/* --- the types ------------------------------------------------------------------------------- */

const struct setting_type setting_names = {
    "names",    "a list such as [ \"ada\", \"grace\" ], of 1 KiB in all",
    names_read, names_write,
    NULL,       NULL,
};
const struct setting_type setting_fingerprints = {
    "fingerprints",
    "a list of \"sha256:HEX\" or \"key-sha256:HEX\", of 1 KiB in all",
    fingerprints_read,
    names_write,
    NULL,
    NULL,
};
const struct setting_type setting_route_to = {
    "next hops",
    "\"mx\", \"discard\", \"error TEXT\", a host as for relayhost, or a list of hosts such as "
    "[ \"a.example priority 10 weight 3\", \"[b.example]:587 priority 20\" ]",
    route_to_read,
    route_to_write,
    NULL,
    NULL,
};
const struct setting_type setting_ip_addresses = {
    "addresses",  "an address such as \"192.0.2.7\", or a list of them",
    sources_read, sources_write,
    NULL,         NULL,
};
const struct setting_type setting_rate = {
    "rate", "a number and a time of at most a day, such as \"100/1m\"", rate_read, rate_write, NULL,
    NULL,
};
const struct setting_type setting_route_name = {
    "route name",
    "lower case letters, digits and - such as \"partner\"",
    route_name_read,
    route_name_write,
    NULL,
    NULL,
};
const struct setting_type setting_routes = {
    "routes",    "( { name = \"partner\"; recipients = [ \"example.net\" ]; next-hop = \"mx\"; } )",
    routes_read, routes_write,
    NULL,        NULL,
};
