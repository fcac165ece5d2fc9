/* What a listener does for a message beside taking it: its header, its copy, its broken lines. */
#include "smtpd/session_private.h"

#include "lib/base/limits.h"
#include "lib/base/random.h"
#include "smtpd/session_log.h"

const struct duties *session_duties(const struct session *s, struct duties *room)
{
    const struct settings *settings = s->host->settings;
    unsigned char random[DUTIES_RANDOM_SIZE];

    duties_init(room, settings, s->place->settings);
    room->senders =
        client_rules_find(&settings->sender_rules, span_of(s->talk.user), &s->talk.client);
    room->home = span_of(settings->origin);
    if (!duties_are_any(room))
        return NULL;
    random_bytes(random, sizeof(random));
    duties_name_message(room, settings->hostname, s->talk.envelope.received_utc_ms, random);
    return room;
}

static bool is_recipient(const struct envelope *envelope, const struct address *path)
{
    for (unsigned i = 0; i < envelope->recipient_count; i++)
        if (span_equal_nocase(span_of(envelope->recipients[i].forward_path.text),
                              span_of(path->text)))
            return true;
    return false;
}

/* Room for it is always left (ENVELOPE_BYTES_MAX). */
void session_add_copy(struct session *s)
{
    struct envelope *envelope = &s->talk.envelope;
    struct address path;

    if (address_parse(span_of(s->place->settings->copy_to), &path) != ADDRESS_FINE ||
        is_recipient(envelope, &path))
        return;
    envelope_add(envelope, &path)->notify = NOTIFY_NEVER; /* the sender knows nothing of it */
}

bool session_mends_lines(const struct session *s)
{
    return network_list_contains(&s->place->settings->normalise_from, &s->client.address);
}

void session_note_mended(struct session *s)
{
    uint64_t times;

    if (s->intake.data.mended > 0 &&
        offenders_note(&s->host->menders, &s->client.address, loop_now(s->host->loop),
                       SMTPD_NAME_AGAIN_MS, &times))
        session_log_mended(&s->client, s->intake.data.mended, times);
}
