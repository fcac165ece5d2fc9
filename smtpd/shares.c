#include "smtpd/shares.h"

#include "lib/base/clock.h"

uint64_t shares_message_bytes(const struct settings *all, const struct listener_settings *own)
{
    return own->max_message_bytes > 0 ? own->max_message_bytes : all->max_message_bytes;
}

static unsigned own_or_all(unsigned own, unsigned all)
{
    return own > 0 ? own : all;
}

unsigned shares_recipients(const struct settings *all, const struct listener_settings *own)
{
    return own_or_all(own->max_recipients, all->max_recipients);
}

unsigned shares_connections(const struct settings *all, const struct listener_settings *own)
{
    return own_or_all(own->max_connections_per_client, all->max_connections_per_client);
}

static bool take(struct rates *rates, const struct share_facts *f, const struct rate_ask asks[3],
                 enum rate *out_spent)
{
    return rates_take(rates, asks, 3, f->now_ms, (int64_t)f->settings->rate_time_s * SECOND_MS,
                      out_spent);
}

/* Loopback is this machine, which has no share but its users' and senders'. */
static unsigned of_client(const struct share_facts *f, unsigned own, unsigned all)
{
    return ip_address_is_loopback(f->client) ? 0 : own_or_all(own, all);
}

static unsigned of_name(struct span name, unsigned limit)
{
    return name.len > 0 ? limit : 0;
}

bool shares_take_message(struct rates *rates, const struct share_facts *facts, enum rate *out_spent)
{
    const struct settings *s = facts->settings;
    char room[RATE_CLIENT_SIZE];
    const struct rate_ask asks[3] = {
        { RATE_CLIENT_MESSAGES, rate_client(facts->client, room),
          of_client(facts, facts->listener->max_messages_per_client, s->max_messages_per_client) },
        { RATE_USER_MESSAGES, facts->user, of_name(facts->user, s->max_messages_per_user) },
        { RATE_SENDER_MESSAGES, facts->sender, of_name(facts->sender, s->max_messages_per_sender) },
    };

    return take(rates, facts, asks, out_spent);
}

bool shares_take_recipient(struct rates *rates, const struct share_facts *facts,
                           enum rate *out_spent)
{
    const struct settings *s = facts->settings;
    char room[RATE_CLIENT_SIZE];
    const struct rate_ask asks[3] = {
        { RATE_CLIENT_RECIPIENTS, rate_client(facts->client, room),
          of_client(facts, facts->listener->max_recipients_per_client,
                    s->max_recipients_per_client) },
        { RATE_USER_RECIPIENTS, facts->user, of_name(facts->user, s->max_recipients_per_user) },
        { RATE_SENDER_RECIPIENTS, facts->sender,
          of_name(facts->sender, s->max_recipients_per_sender) },
    };

    return take(rates, facts, asks, out_spent);
}
