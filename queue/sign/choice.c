#include "queue/sign/choice.h"

#include "lib/mail/dkim_record.h"
#include "lib/mail/dkim_signature.h"

struct span choice_domain(const struct keys_entry *entry, const struct choice_facts *facts)
{
    const char *domain = entry->settings->domain;

    return domain[0] != '\0' ? span_of(domain) : facts->author;
}

struct choice_body choice_body(const struct keys_entry *entry, const struct choice_facts *facts)
{
    bool wants_relaxed = dkim_settings_body_is_relaxed(entry->settings);
    struct span wanted = wants_relaxed ? facts->relaxed : facts->simple;

    if (wanted.len > 0)
        return (struct choice_body){ wants_relaxed, wanted };
    return (struct choice_body){ !wants_relaxed, wants_relaxed ? facts->simple : facts->relaxed };
}

static bool is_left_alone(const struct keys_entry *entry, const struct choice_facts *facts)
{
    return entry->settings->sign_signed == SWITCH_OFF &&
           dkim_signature_is_there(facts->header, choice_domain(entry, facts));
}

/* Why this entry cannot sign this message, of the message's own making; NULL: it can. */
static const char *fault_of(const struct keys_entry *entry, const struct choice_facts *facts)
{
    char name[DKIM_NAME_SIZE];

    if (choice_body(entry, facts).sha256.len == 0)
        return "its body was not hashed: it came before there was any dkim entry";
    if (!dkim_record_name(span_of(entry->settings->selector), choice_domain(entry, facts), name))
        return "its domain is so long that DNS could not name the key";
    return NULL;
}

static void consider(struct choice *choice, const struct keys_entry *entry,
                     const struct choice_facts *facts)
{
    const char *fault = fault_of(entry, facts);

    if (is_left_alone(entry, facts))
        choice->is_signed_already = true;
    else if (fault)
        choice->fault = fault;
    else if (!entry->key)
        choice->is_away = true;
    else if (choice->count < SETTINGS_DKIM_PER_SENDER_MAX)
        choice->entries[choice->count++] = entry;
}

void choice_make(const struct keys *keys, const struct choice_facts *facts,
                 struct choice *out_choice)
{
    struct choice choice = { .count = 0 };
    const struct keys_entry *entry;
    unsigned at = 0;

    while ((entry = keys_next(keys, facts->author, &at)) != NULL)
        consider(&choice, entry, facts);
    if (choice.is_away)
        choice.count = 0;
    *out_choice = choice;
}
