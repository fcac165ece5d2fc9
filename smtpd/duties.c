#include "smtpd/duties.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/mail/header_addresses.h"
#include "lib/mail/header_fields.h"
#include "lib/mail/rewrite.h"

void duties_init(struct duties *duties, const struct settings *settings,
                 const struct listener_settings *listener)
{
    *duties = (struct duties){
        .fixes = listener->submission_fixes == SWITCH_ON,
        .origin = listener->complete_addresses == SWITCH_ON ? settings->origin : NULL,
        .rewrites = &settings->rewrites,
        .removed = &listener->remove_headers,
    };
}

bool duties_are_any(const struct duties *duties)
{
    return duties->fixes || duties->origin || duties->rewrites->count > 0 ||
           duties->removed->count > 0 || duties->senders;
}

void duties_name_message(struct duties *duties, const char *hostname, int64_t now_utc_ms,
                         const unsigned char random[DUTIES_RANDOM_SIZE])
{
    char *room = duties->message_id;
    size_t size = sizeof(duties->message_id);
    int len = snprintf(room, size, "<%" PRIx64 ".", (uint64_t)now_utc_ms);

    for (int i = 0; i < DUTIES_RANDOM_SIZE; i++)
        len += snprintf(room + len, size - (size_t)len, "%02x", random[i]);
    len += snprintf(room + len, size - (size_t)len, "@%s>", hostname);
    ensure((size_t)len < size); /* a hostname has its bound */
    duties->now_utc_ms = now_utc_ms;
}

/* --- the fields that we know */

enum { IS_AUTHOR = 1, HAS_ADDRESSES = 2, ENDS_HERE = 4, IS_DATE = 8, IS_MESSAGE_ID = 16 };

static const struct known_field {
    const char *name;
    unsigned kind;
} known_fields[] = {
    { "From", IS_AUTHOR | HAS_ADDRESSES },
    { "Sender", IS_AUTHOR | HAS_ADDRESSES },
    { "Reply-To", IS_AUTHOR | HAS_ADDRESSES },
    { "To", HAS_ADDRESSES },
    { "Cc", HAS_ADDRESSES },
    { "Resent-From", IS_AUTHOR | HAS_ADDRESSES },
    { "Resent-Sender", IS_AUTHOR | HAS_ADDRESSES },
    { "Resent-Reply-To", IS_AUTHOR | HAS_ADDRESSES },
    { "Resent-To", HAS_ADDRESSES },
    { "Resent-Cc", HAS_ADDRESSES },
    { "Bcc", ENDS_HERE | HAS_ADDRESSES },        /* RFC 5322 s.3.6.3 */
    { "Resent-Bcc", ENDS_HERE | HAS_ADDRESSES }, /* RFC 5322 s.3.6.6 */
    { "Return-Path", ENDS_HERE },                /* RFC 5321 s.4.4 */
    { "Date", IS_DATE },
    { "Message-ID", IS_MESSAGE_ID },
};

static unsigned kind_of(struct span name)
{
    for (size_t i = 0; i < sizeof(known_fields) / sizeof(known_fields[0]); i++)
        if (span_equal_nocase(name, span_of(known_fields[i].name)))
            return known_fields[i].kind;
    return 0;
}

static bool is_listed(const struct field_names *names, struct span name)
{
    for (unsigned i = 0; i < names->count; i++)
        if (span_equal_nocase(name, span_of(names->items[i])))
            return true;
    return false;
}

bool duties_remove(const struct duties *duties, struct span name)
{
    return is_listed(duties->removed, name);
}

/* --- copying all but what changes */

struct edit {
    const struct duties *duties;
    struct buf *out;
    const char *kept; /* what stands from here on is not copied yet */
    bool fits;
};

static void put(struct edit *edit, struct span text)
{
    edit->fits = edit->fits && buf_append(edit->out, text);
}

/* Copies up to `at`, which stands in the block. */
static void keep_up_to(struct edit *edit, const char *at)
{
    put(edit, (struct span){ edit->kept, (size_t)(at - edit->kept) });
    edit->kept = at;
}

/* Something else stands where `old` stood. */
static void replace(struct edit *edit, struct span old, struct span fresh)
{
    keep_up_to(edit, old.data);
    put(edit, fresh);
    edit->kept = old.data + old.len;
}

/* --- addresses */

/* "@" and the domain behind a bare name. */
static void complete(struct edit *edit, struct span name, const char *domain)
{
    struct span behind = { name.data + name.len, 0 };

    replace(edit, behind, SPAN("@"));
    put(edit, span_of(domain));
}

/* The address in full; false when it stays as it is: too long, or a name without a domain. */
static bool text_of(const struct duties *duties, const struct header_mailbox *mailbox,
                    char text[ADDRESS_MAX + 1])
{
    size_t len;

    if (!header_mailbox_text(mailbox, text))
        return false;
    if (mailbox->domain.len > 0)
        return true;
    len = strlen(text);
    if (!duties->origin || len + 1 + strlen(duties->origin) > ADDRESS_MAX)
        return false;
    snprintf(text + len, ADDRESS_MAX + 1 - len, "@%s", duties->origin);
    return true;
}

/* A bare name is completed first, for the origin may be one of the domains to rewrite. */
static void edit_mailbox(struct edit *edit, const struct header_mailbox *mailbox, bool is_author)
{
    const struct rewrite *row = NULL;
    char text[ADDRESS_MAX + 1];
    bool is_domain = false;

    if (!text_of(edit->duties, mailbox, text))
        return;
    if (is_author)
        row = rewrite_find(edit->duties->rewrites, span_of(text), &is_domain);
    if (row && !is_domain)
        replace(edit, mailbox->whole, span_of(row->to));
    else if (mailbox->domain.len == 0)
        complete(edit, mailbox->whole, row ? row->to : edit->duties->origin);
    else if (row)
        replace(edit, mailbox->domain, span_of(row->to));
}

static void edit_addresses(struct edit *edit, struct span body, unsigned kind)
{
    struct header_addresses list;
    struct header_mailbox mailbox;

    header_addresses_init(&list, body);
    while (header_addresses_next(&list, &mailbox))
        edit_mailbox(edit, &mailbox, (kind & IS_AUTHOR) != 0);
}

/* --- the block */

static void edit_field(struct edit *edit, const struct header_field *field, unsigned kind)
{
    const struct duties *duties = edit->duties;

    if ((duties->fixes && (kind & ENDS_HERE)) || duties_remove(duties, field->name))
        replace(edit, field->whole, SPAN(""));
    else if ((kind & HAS_ADDRESSES) && (duties->origin || duties->rewrites->count > 0))
        edit_addresses(edit, field->body, kind);
}

static void add_field(struct edit *edit, const char *name, const char *body)
{
    put(edit, span_of(name));
    put(edit, SPAN(": "));
    put(edit, span_of(body));
    put(edit, SPAN("\r\n"));
}

/* RFC 6409 s.8.2, s.8.3.  A field removed on purpose is as one that never was. */
static void add_missing(struct edit *edit, unsigned seen)
{
    char date[CLOCK_TEXT_SIZE];
    struct span have = buf_span(edit->out);

    if ((seen & IS_DATE) && (seen & IS_MESSAGE_ID))
        return;
    if (have.len > 0 && have.data[have.len - 1] != '\n')
        put(edit, SPAN("\r\n")); /* the block ended in the middle of a line */
    clock_format_mail(edit->duties->now_utc_ms, date);
    if (!(seen & IS_DATE))
        add_field(edit, "Date", date);
    if (!(seen & IS_MESSAGE_ID))
        add_field(edit, "Message-ID", edit->duties->message_id);
}

/* A message that begins with a blank: a field in front of that would take it in. */
static bool is_continuation(struct span text)
{
    return span_starts_with(text, SPAN(" ")) || span_starts_with(text, SPAN("\t"));
}

bool duties_apply(const struct duties *duties, struct span block, struct buf *out)
{
    struct edit edit = { duties, out, block.data, true };
    struct header_fields fields;
    struct header_field field;
    unsigned seen = 0;

    header_fields_init(&fields, block);
    while (header_fields_next(&fields, &field)) {
        unsigned kind = kind_of(field.name);
        seen |= kind;
        edit_field(&edit, &field, kind);
    }
    keep_up_to(&edit, fields.rest.data);
    if (duties->fixes && !is_continuation(fields.rest))
        add_missing(&edit, seen);
    put(&edit, fields.rest);
    return edit.fits;
}
