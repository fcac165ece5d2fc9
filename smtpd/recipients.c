#include "smtpd/recipients.h"

#include <stdio.h>

#include "lib/mail/rewrite.h"

void recipients_rewrite(const struct settings *settings, struct address *path)
{
    char text[ADDRESS_MAX + 1];
    struct address fresh;

    if (rewrite_address(&settings->rewrites, span_of(path->text), text) &&
        address_parse_utf8(span_of(text), &fresh) == ADDRESS_FINE)
        *path = fresh;
}

bool recipients_find_postmaster(const struct settings *settings, struct address *out)
{
    char text[sizeof("postmaster@") + SETTINGS_NAME_SIZE];

    if (settings->postmaster[0] != '\0')
        return address_parse(span_of(settings->postmaster), out) == ADDRESS_FINE;
    snprintf(text, sizeof(text), "postmaster@%s", settings->hostname);
    return address_parse(span_of(text), out) == ADDRESS_FINE;
}

struct addition {
    const struct settings *settings;
    struct envelope *envelope;
    const struct rcpt_command *rcpt;
    unsigned most;
    bool fits;
};

/* RFC 3461 s.5.2.7: each target of an alias is asked about as the alias was. */
static void add_one(void *ctx, const struct address *target)
{
    struct addition *addition = ctx;
    struct envelope *envelope = addition->envelope;
    struct address path = *target;

    recipients_rewrite(addition->settings, &path);
    addition->fits = addition->fits && envelope->recipient_count < addition->most &&
                     envelope_has_room(envelope, &path);
    if (!addition->fits)
        return;
    struct envelope_recipient *added = envelope_add(envelope, &path);
    added->notify = addition->rcpt->notify;
    ensure(envelope_set_orcpt(envelope, added, span_of(addition->rcpt->orcpt))); /* was measured */
}

bool recipients_add(const struct settings *settings, const struct aliases *aliases, unsigned most,
                    struct envelope *envelope, const struct rcpt_command *rcpt)
{
    struct addition addition = { settings, envelope, rcpt, most, true };
    const struct alias_home home = { span_of(settings->hostname), span_of(settings->origin) };
    unsigned count = envelope->recipient_count;
    size_t octets = envelope->recipient_octets;

    if (!aliases_expand(aliases, &home, &rcpt->forward_path, add_one, &addition))
        add_one(&addition, &rcpt->forward_path);
    if (envelope->recipient_count == count) /* an alias of too many */
        addition.fits = false;
    if (!addition.fits) {
        envelope->recipient_count = count;
        envelope->recipient_octets = octets;
    }
    return addition.fits;
}
