#include "queue/notify_due.h"

#include "lib/mail/envelope.h"
#include "lib/mail/header_fields.h"

enum notify_audience notify_audience(const Queue__MessageRecord *message)
{
    if (message->envelope->tls_report)
        return AUDIENCE_LOG;
    if (message->notification || message->envelope->reverse_path->text.len == 0)
        return AUDIENCE_NOBODY; /* RFC 5321 s.6.1: never for <> */
    return message->envelope->from_stranger ? AUDIENCE_STRANGER : AUDIENCE_SENDER;
}

bool notify_is_wanted(const Queue__RecipientRecord *recipient, enum notify_action action)
{
    uint32_t notify = recipient->recipient->notify;

    switch (action) {
    case ACTION_FAILED:
        return notify == 0 || (notify & NOTIFY_FAILURE);
    case ACTION_DELAYED: /* RFC 3461 s.4.1: without NOTIFY it is left to us */
        return notify == 0 || (notify & NOTIFY_DELAY);
    case ACTION_RELAYED:
    case ACTION_DELIVERED:
    case ACTION_EXPANDED:
        break;
    }
    return (notify & NOTIFY_SUCCESS) != 0;
}

bool notify_asked_of_delay(const Queue__RecipientRecord *recipient)
{
    return (recipient->recipient->notify & NOTIFY_DELAY) != 0;
}

/* The value up to a parameter or a comment. */
static struct span first_word(struct span body)
{
    struct span value = span_trim(body);

    value = span_first(value, span_find(value, ';'));
    return span_trim(span_first(value, span_find(value, '(')));
}

static bool says_automatic(const struct header_field *field)
{
    struct span value = first_word(field->body);

    if (span_equal_nocase(field->name, SPAN("Auto-Submitted")))
        return !span_equal_nocase(value, SPAN("no"));
    if (span_equal_nocase(field->name, SPAN("Precedence")))
        return span_equal_nocase(value, SPAN("bulk")) || span_equal_nocase(value, SPAN("list")) ||
               span_equal_nocase(value, SPAN("junk"));
    return span_equal_nocase(field->name, SPAN("List-Id"));
}

bool notify_is_automatic(struct span header)
{
    struct header_fields fields;
    struct header_field field;

    header_fields_init(&fields, header);
    while (header_fields_next(&fields, &field))
        if (says_automatic(&field))
            return true;
    return false;
}
