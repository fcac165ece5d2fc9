#include "supervisor/mail_names.h"

#include "lib/mail/aliases.h"

struct warnings {
    const char *path;
    mail_names_warning_fn *warn;
    void *ctx;
};

static void on_skipped(void *ctx, unsigned line, const char *what)
{
    const struct warnings *to = ctx;
    struct error *err =
        error_new(ERROR_LOCAL, "aliases-file %s, line %u: %s is skipped", to->path, line, what);

    to->warn(to->ctx, &err);
    error_free(&err);
}

void mail_names_visit_skipped(const struct settings *settings, struct span content,
                              mail_names_warning_fn *warn, void *ctx)
{
    struct warnings to = { settings->aliases_file, warn, ctx };
    struct aliases *aliases = aliases_parse(content, on_skipped, &to);

    aliases_free(&aliases);
}

/* Looks for one that leads elsewhere. */
struct search {
    struct span hostname;
    bool leads_away;
};

static void on_target(void *ctx, const struct address *target)
{
    struct search *search = ctx;
    struct span domain = span_of(target->domain);

    if (!span_equal_nocase(domain, search->hostname) &&
        !span_equal_nocase(domain, SPAN("localhost")))
        search->leads_away = true;
}

void mail_names_visit_postmaster(const struct settings *settings, struct span content,
                                 mail_names_warning_fn *warn, void *ctx)
{
    const struct alias_home home = { span_of(settings->hostname), span_of(settings->origin) };
    struct search search = { home.hostname, false };
    struct aliases *aliases = aliases_parse(content, NULL, NULL);
    struct address path;

    if (address_parse(span_of(settings->postmaster), &path) == ADDRESS_FINE &&
        !aliases_expand(aliases, &home, &path, on_target, &search))
        on_target(&search, &path);
    aliases_free(&aliases);
    if (search.leads_away)
        return;
    struct error *err =
        error_new(ERROR_LOCAL,
                  "postmaster is not set: mail for it goes to %s, which is this host; set it, or "
                  "give postmaster an address in aliases-file",
                  settings->postmaster);
    warn(ctx, &err);
    error_free(&err);
}
