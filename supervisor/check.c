#include "supervisor/commands.h"

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/base/memory.h"
#include "lib/base/settings.h"
#include "lib/io/resolver.h"
#include "supervisor/bridges.h"
#include "supervisor/dkim_keys.h"
#include "supervisor/handover.h"
#include "supervisor/route_check.h"
#include "supervisor/strangers.h"
#include "supervisor/watched.h"

#include <stdio.h>
#include <stdlib.h>

static void print_json(const struct json *value)
{
    struct buf text;

    buf_init(&text, SETTINGS_TEXT_MAX);
    ensure(json_write(value, JSON_INDENTED, &text));
    fwrite(buf_span(&text).data, 1, buf_len(&text), stdout);
    fputc('\n', stdout);
    buf_clear(&text);
}

static void list_as_json(void)
{
    struct json *rows = json_new_array();
    struct setting_row row;

    for (size_t n = 0; settings_row(n, &row); n++) {
        struct json *o = json_append_object(rows);
        json_add_string(o, "group", row.group);
        json_add_string(o, "name", row.name);
        json_add_string(o, "type", row.type);
        json_add_string(o, "default", row.default_text);
        json_add_string(o, "range", row.range_text);
        json_add_string(o, "sentence", row.sentence);
    }
    print_json(rows);
    json_free(&rows);
}

static void list_as_text(void)
{
    struct setting_row row;

    for (size_t n = 0; settings_row(n, &row); n++) {
        printf("%s%s%s (%s", row.group ? row.group : "", row.group ? ": " : "", row.name, row.type);
        if (row.range_text[0] != '\0')
            printf(", %s", row.range_text);
        if (row.default_text[0] != '\0')
            printf("; default %s", row.default_text);
        printf(")\n    %s\n", row.sentence);
    }
}

/* What a file of settings cannot tell: whether the files that it names are fit for use. */
struct file_check {
    const char *config;
    struct settings_errors *errors;
    struct settings_errors *warnings;
};

static unsigned line_of(const char *config, enum role_content kind, unsigned index)
{
    switch (kind) {
    case CONTENT_CA_BUNDLE:
        return settings_find_line(config, NULL, 0, "ca-file");
    case CONTENT_CERTIFICATE:
        return settings_find_line(config, "listeners", index / SETTINGS_CERTIFICATES_MAX,
                                  "tls-certificate");
    case CONTENT_KEY:
        return settings_find_line(config, "listeners", index / SETTINGS_CERTIFICATES_MAX,
                                  "tls-key");
    case CONTENT_CLIENT_CA:
        return settings_find_line(config, "listeners", index, "tls-client-ca");
    case CONTENT_ALIASES:
        return settings_find_line(config, NULL, 0, "aliases-file");
    case CONTENT_RECIPIENTS:
        return settings_find_line(config, "listeners", index, "recipients");
    case CONTENT_USERS:
        return settings_find_line(config, NULL, 0, "users-file");
    case CONTENT_ROUTE_CREDENTIALS:
        return settings_find_line(config, "routes", index, "credentials");
    case CONTENT_DKIM_KEY:
        return settings_find_line(config, "dkim", index, "key");
    case CONTENT_RESOLV_CONF:
    case CONTENT_TICKET_KEYS:
    case CONTENT_COUNT:
    default:
        return 0;
    }
}

static void on_file_fault(void *ctx, enum role_content kind, unsigned index, struct error **taken)
{
    const struct file_check *check = ctx;

    settings_errors_add(check->errors, check->config, line_of(check->config, kind, index), "%s",
                        error_text(*taken));
    error_free(taken);
}

/* What works today and is not as it should be. */
static void on_file_warning(void *ctx, enum role_content kind, unsigned index, struct error **taken)
{
    const struct file_check *check = ctx;

    settings_errors_add(check->warnings, check->config, line_of(check->config, kind, index),
                        "warning: %s", error_text(*taken));
    error_free(taken);
}

static void on_bridge(void *ctx, unsigned listener, const char *interface,
                      const struct ip_address *address)
{
    const struct file_check *check = ctx;
    char text[NETWORK_TEXT_SIZE];

    ip_address_format(address, text);
    settings_errors_add(check->warnings, check->config,
                        settings_find_line(check->config, "listeners", listener, "relay-from"),
                        "warning: relay-from holds %s, our address on the bridge %.20s: what comes "
                        "in through a published port may bear it, whoever sent it",
                        text, interface);
}

static void on_stranger(void *ctx, unsigned listener, bool is_fault, const char *sentence)
{
    const struct file_check *check = ctx;

    settings_errors_add(is_fault ? check->errors : check->warnings, check->config,
                        settings_find_line(check->config, "listeners", listener, "relay-from"),
                        "%s%s", is_fault ? "" : "warning: ", sentence);
}

static void on_route(void *ctx, enum route_finding finding, unsigned route, const char *member,
                     const char *sentence)
{
    static const char *const words[] = { "", "warning: ", "note: " };
    const struct file_check *check = ctx;

    settings_errors_add(finding == ROUTE_FAULT ? check->errors : check->warnings, check->config,
                        route == ROUTE_NONE
                            ? settings_find_line(check->config, NULL, 0, member)
                            : settings_find_line(check->config, "routes", route, member),
                        "%s%s", words[finding], sentence);
}

static void check_exceptions(const struct settings *s, const struct file_check *check)
{
    for (unsigned i = 0; i < s->exception_count; i++) {
        const struct exception_settings *e = &s->exceptions[i];
        int64_t days_left = exception_days_left(e, clock_utc_ms());
        if (days_left > EXCEPTION_REMINDED_DAYS)
            continue;
        settings_errors_add(check->warnings, check->config,
                            settings_find_line(check->config, "exception", i, "until"),
                            "warning: the exception for %.100s %s", e->domain,
                            days_left > 0 ? "ends within seven days: its policy then holds again"
                                          : "has ended and is ignored; take it out");
    }
}

static void on_dkim(void *ctx, unsigned entry, const char *member, const char *sentence)
{
    const struct file_check *check = ctx;

    settings_errors_add(check->warnings, check->config,
                        settings_find_line(check->config, "dkim", entry, member), "%s", sentence);
}

/* A file that is not there, or wrong, is complained of elsewhere. */
static struct watched *open_quietly(enum role_content kind, const char *path)
{
    struct watched *file = NULL;
    struct error *err = path[0] != '\0' ? watched_open(kind, 0, path, &file) : NULL;

    error_free(&err);
    return file;
}

static struct users *users_of(const struct settings *s)
{
    struct watched *file = open_quietly(CONTENT_USERS, s->users_file);
    struct settings_errors errors;
    struct users *users = NULL;

    if (!file)
        return NULL;
    settings_errors_init(&errors);
    if (!users_parse(watched_content(file), s->users_file, &errors, &users))
        users = NULL;
    settings_errors_clear(&errors);
    watched_free(&file);
    return users;
}

/* Whether they validate shows when the relay runs (lib/io/resolver_proof). */
static void check_resolvers(const struct settings *s, struct span resolv_conf,
                            struct file_check *check)
{
    struct endpoint servers[SETTINGS_RESOLVERS_MAX];
    bool trusted;

    resolver_servers_for(s, resolv_conf, servers, &trusted);
    if (!trusted)
        settings_errors_add(check->warnings, check->config,
                            settings_find_line(check->config, NULL, 0, "resolvers"),
                            "note: a resolver is not on this machine: what they say of DNSSEC does "
                            "not count, and DANE is off");
}

/* Meant so, or forgotten: whoever wonders why nothing leaves looks here, too. */
static void check_delivery(const struct settings *s, const struct file_check *check)
{
    if (s->delivery == DELIVERY_HOLD)
        settings_errors_add(check->warnings, check->config,
                            settings_find_line(check->config, NULL, 0, "delivery"),
                            "note: with delivery = \"hold\" nothing is sent");
}

static void check_routes(const struct settings *s, struct file_check *check)
{
    struct users *users = users_of(s);
    struct watched *resolv_conf = open_quietly(CONTENT_RESOLV_CONF, "/etc/resolv.conf");
    struct span servers = resolv_conf ? watched_content(resolv_conf) : SPAN("");

    check_resolvers(s, servers, check);
    route_check_names(s, users, on_route, check);
    route_check_lookups(s, servers, on_route, check);
    route_check_loops(s, on_route, check);
    route_check_families(s, on_route, check);
    route_check_sources(s, on_route, check);
    route_check_policies(s, on_route, check);
    watched_free(&resolv_conf);
    users_free(&users);
}

static void add_lines(struct json *o, const char *name, const struct settings_errors *lines)
{
    struct json *list = json_add_array(o, name);
    struct span rest = buf_span(&lines->text);
    struct span line;

    while (span_cut(&rest, '\n', &line))
        if (line.len > 0)
            json_append_text(list, line);
}

static void print_as_json(const struct settings_errors *errors,
                          const struct settings_errors *warnings)
{
    struct json *o = json_new_object();

    json_add_bool(o, "fine", errors->count == 0);
    add_lines(o, "errors", errors);
    add_lines(o, "warnings", warnings);
    print_json(o);
    json_free(&o);
}

static void print_findings(const struct invocation *i, const struct settings_errors *errors,
                           const struct settings_errors *warnings)
{
    if (!i->json)
        fprintf(stderr, SPAN_FMT, SPAN_ARG(buf_span(&warnings->text)));
    if (i->json)
        print_as_json(errors, warnings);
    else if (errors->count == 0)
        printf("%s: everything is right\n", i->config);
    else
        fprintf(stderr, SPAN_FMT "%u wrong, nothing changed\n", SPAN_ARG(buf_span(&errors->text)),
                errors->count);
}

int check_run(const struct invocation *i)
{
    struct settings *s = settings_new();
    struct settings_errors errors, warnings;
    int status;

    if (i->list) {
        settings_free(&s);
        if (i->json)
            list_as_json();
        else
            list_as_text();
        return EXIT_DONE;
    }
    settings_errors_init(&errors);
    settings_errors_init(&warnings);
    if (settings_load(i->config, s, &errors)) {
        struct file_check check = { i->config, &errors, &warnings };
        handover_check_files(s, on_file_fault, on_file_warning, &check);
        bridges_visit(s, on_bridge, &check);
        strangers_visit(s, on_stranger, &check);
        check_delivery(s, &check);
        check_routes(s, &check);
        check_exceptions(s, &check);
        dkim_keys_judge(s, on_dkim, &check);
    }
    print_findings(i, &errors, &warnings);
    status = errors.count == 0 ? EXIT_DONE : EXIT_FAILED;
    settings_errors_clear(&errors);
    settings_errors_clear(&warnings);
    settings_free(&s);
    return status;
}
