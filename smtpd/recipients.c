#include "smtpd/recipients.h"

#include <stdio.h>

#include "lib/mail/rewrite.h"
#include "lib/mail/routing.h"

bool recipients_find_postmaster(const struct settings *settings, struct address *out)
{
    char text[sizeof("postmaster@") + SETTINGS_NAME_SIZE];

    if (settings->postmaster[0] != '\0')
        return address_parse(span_of(settings->postmaster), out) == ADDRESS_FINE;
    snprintf(text, sizeof(text), "postmaster@%s", settings->hostname);
    return address_parse(span_of(text), out) == ADDRESS_FINE;
}

struct refusal {
    const struct settings *settings;
    const struct envelope *envelope;
    const struct route_settings *route;
};

static void look_for_refusal(void *ctx, const struct address *target)
{
    struct refusal *refusal = ctx;
    struct address path = *target;
    struct routing routing;

    rewrite_path(&refusal->settings->rewrites, &path);
    const struct routing_facts facts = {
        .domain = span_of(path.domain),
        .sender_domain = span_of(refusal->envelope->reverse_path.domain),
        .listener = span_of(refusal->envelope->listener),
        .user = span_of(refusal->envelope->user),
    };
    routing_choose(refusal->settings, &facts, &routing);
    if (routing.route && routing.route->to == ROUTE_TO_ERROR)
        refusal->route = routing.route;
}

/* Visits those for whom a path stands: the targets of an alias, or itself. */
static void visit(const struct settings *settings, const struct aliases *aliases,
                  const struct address *path, alias_target_fn *target, void *ctx)
{
    const struct alias_home home = { span_of(settings->hostname), span_of(settings->origin) };

    if (!aliases_expand(aliases, &home, path, target, ctx))
        target(ctx, path);
}

const struct route_settings *recipients_refused(const struct settings *settings,
                                                const struct aliases *aliases,
                                                const struct envelope *envelope,
                                                const struct address *path)
{
    struct refusal refusal = { settings, envelope, NULL };

    visit(settings, aliases, path, look_for_refusal, &refusal);
    return refusal.route;
}

struct addition {
    const struct settings *settings;
    struct envelope *envelope;
    const struct rcpt_command *rcpt;
    unsigned most;
    bool fits;
};

static bool add_one(struct addition *addition, const struct address *path, bool is_expanded)
{
    struct envelope *envelope = addition->envelope;

    if (!envelope_has_room(envelope, path))
        return false;
    struct envelope_recipient *added =
        is_expanded ? envelope_add_expanded(envelope, path) : envelope_add(envelope, path);
    added->notify = addition->rcpt->notify;
    ensure(envelope_set_orcpt(envelope, added, span_of(addition->rcpt->orcpt))); /* was measured */
    return true;
}

static void add_target(void *ctx, const struct address *target)
{
    struct addition *addition = ctx;
    struct address path = *target;

    rewrite_path(&addition->settings->rewrites, &path);
    addition->fits = addition->fits && addition->envelope->recipient_count < addition->most &&
                     add_one(addition, &path, false);
}

/*
 * RFC 3461 s.5.2.7: the one target of an alias is asked about as the alias was.  Of several the
 * sender who asked of success hears that the alias was expanded, and nothing more of success.
 */
static bool settle_success(struct addition *addition, unsigned first)
{
    struct envelope *envelope = addition->envelope;
    uint32_t notify = addition->rcpt->notify;

    if (!(notify & NOTIFY_SUCCESS) || envelope->recipient_count - first < 2)
        return true;
    notify &= ~(uint32_t)NOTIFY_SUCCESS;
    for (unsigned i = first; i < envelope->recipient_count; i++)
        envelope->recipients[i].notify = notify ? notify : NOTIFY_NEVER;
    return add_one(addition, &addition->rcpt->forward_path, true);
}

bool recipients_add(const struct settings *settings, const struct aliases *aliases, unsigned most,
                    struct envelope *envelope, const struct rcpt_command *rcpt)
{
    struct addition addition = { settings, envelope, rcpt, most, true };
    unsigned count = envelope->recipient_count, expanded = envelope->expanded_count;
    size_t octets = envelope->recipient_octets;

    visit(settings, aliases, &rcpt->forward_path, add_target, &addition);
    if (envelope->recipient_count == count) /* an alias of too many */
        addition.fits = false;
    addition.fits = addition.fits && settle_success(&addition, count);
    if (!addition.fits) {
        envelope->recipient_count = count;
        envelope->expanded_count = expanded;
        envelope->recipient_octets = octets;
    }
    return addition.fits;
}
