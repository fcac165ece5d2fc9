#include "sendmail/letter.h"

#include "lib/base/base64.h"
#include "lib/base/map.h"
#include "lib/mail/header_addresses.h"
#include "lib/mail/header_fields.h"

#include <stdio.h>
#include <string.h>

enum {
    COMMANDS_MAX = 1024 * 1024,
    HEADER_ADDED_MAX = 4096,
    COMPLETE_SIZE = 1024, /* an address with our origin; the relay knows what is too long */
    WORD_OCTETS = 45,     /* of an encoded word, so that it has at most 75 (RFC 2047 s.2) */
};

struct writing {
    const struct sendmail_options *options;
    const struct letter_author *author;
    struct letter *letter;
    struct map *known;     /* recipients, each once */
    struct buf recipients; /* their commands */
    bool is_utf8;          /* an address is not ASCII (RFC 6531 s.3.4) */
};

/* --- addresses ------------------------------------------------------------------------------- */

static struct error *too_many(void)
{
    return error_new(ERROR_PERMANENT, "there are too many recipients");
}

/* What could end the command it stands in. */
static bool is_harmless(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

static bool is_ascii(const char *text)
{
    while (*text != '\0' && (unsigned char)*text < 0x80)
        text++;
    return *text == '\0';
}

static struct error *complete(struct writing *w, const char *name, char room[COMPLETE_SIZE])
{
    bool is_whole = strrchr(name, '@') != NULL;
    int written = snprintf(room, COMPLETE_SIZE, "%s%s%s", name, is_whole ? "" : "@",
                           is_whole ? "" : w->author->origin);

    w->is_utf8 = w->is_utf8 || !is_ascii(name);
    if (written < COMPLETE_SIZE && is_harmless(room))
        return NULL;
    return error_new(ERROR_PERMANENT, "this is no address: %.200s", name);
}

static struct error *add_recipient(struct writing *w, const char *name)
{
    const char *notify = w->options->notify;
    char address[COMPLETE_SIZE];
    struct error *err = complete(w, name, address);

    if (err || map_put(w->known, span_of(address), w))
        return err;
    w->letter->recipients++;
    if (!buf_printf(&w->recipients, "RCPT TO:<%s>%s%s\n", address, notify ? " NOTIFY=" : "",
                    notify ? notify : ""))
        return too_many();
    return NULL;
}

/* All addresses of a list; a list with anything else in it is not to be guessed at. */
static struct error *add_list(struct writing *w, struct span list, const char *where)
{
    struct header_addresses addresses;
    struct header_mailbox mailbox;
    struct error *err = NULL;
    char text[ADDRESS_MAX + 1];

    header_addresses_init(&addresses, list);
    while (!err && header_addresses_next(&addresses, &mailbox)) {
        if (header_mailbox_text(&mailbox, text))
            err = add_recipient(w, text);
        else
            addresses.is_broken = true;
    }
    if (!err && addresses.is_broken)
        err = error_new(ERROR_PERMANENT, "no list of addresses in %s: %.*s", where,
                        (int)(list.len < 200 ? list.len : 200), list.data);
    return err;
}

static struct error *add_arguments(struct writing *w)
{
    struct error *err = NULL;

    for (int i = 0; i < w->options->recipient_count && !err; i++)
        err = add_list(w, span_of(w->options->recipients[i]), "the command line");
    return err;
}

/* --- the header ------------------------------------------------------------------------------ */

static bool is_called(const struct header_field *field, const char *name)
{
    return span_equal_nocase(field->name, span_of(name));
}

static bool is_blind(const struct header_field *field)
{
    return is_called(field, "Bcc") || is_called(field, "Resent-Bcc");
}

static bool is_recipient_field(const struct header_field *field, bool resent)
{
    if (resent)
        return is_called(field, "Resent-To") || is_called(field, "Resent-Cc") ||
               is_called(field, "Resent-Bcc");
    return is_called(field, "To") || is_called(field, "Cc") || is_called(field, "Bcc");
}

struct header_facts {
    bool has_from;
    bool is_resent; /* its recipients are those of the resending (RFC 5322 s.3.6.6) */
};

static struct header_facts look_at(struct span text)
{
    struct header_facts facts = { .has_from = false };
    struct header_fields fields;
    struct header_field field;

    header_fields_init(&fields, text);
    while (header_fields_next(&fields, &field)) {
        facts.has_from = facts.has_from || is_called(&field, "From");
        facts.is_resent = facts.is_resent || is_recipient_field(&field, true);
    }
    return facts;
}

static struct error *add_header_recipients(struct writing *w, struct span text, bool resent)
{
    struct header_fields fields;
    struct header_field field;
    struct error *err = NULL;

    header_fields_init(&fields, text);
    while (!err && header_fields_next(&fields, &field))
        if (is_recipient_field(&field, resent))
            err = add_list(w, field.body, "the header");
    return err;
}

/* Words of letters and blanks stand as they are, others as a quoted string (RFC 5322 s.3.2.4). */
static bool put_quoted(struct buf *out, struct span name)
{
    bool fine = buf_append(out, SPAN("\""));

    for (size_t i = 0; i < name.len && fine; i++) {
        if (name.data[i] == '"' || name.data[i] == '\\')
            fine = buf_append(out, SPAN("\\"));
        fine = fine && buf_append(out, (struct span){ name.data + i, 1 });
    }
    return fine && buf_append(out, SPAN("\""));
}

/* Never cuts a character in two (RFC 2047 s.5). */
static struct span first_octets(struct span name)
{
    struct span part = span_first(name, WORD_OCTETS);

    while (part.len > 1 && part.len < name.len &&
           ((unsigned char)name.data[part.len] & 0xc0) == 0x80)
        part.len--;
    return part;
}

static bool put_encoded(struct buf *out, struct span name)
{
    bool fine = true;

    while (name.len > 0 && fine) {
        struct span part = first_octets(name);
        name = span_from(name, part.len);
        fine = buf_append(out, SPAN("=?utf-8?B?")) && base64_encode(part, out) &&
               buf_append(out, name.len > 0 ? SPAN("?=\r\n ") : SPAN("?="));
    }
    return fine;
}

static bool put_from(const struct writing *w, const char *address, struct buf *out)
{
    struct span name = span_first(span_of(w->author->full_name), HEADER_ADDED_MAX / 8);
    bool fine = buf_append(out, SPAN("From: "));

    if (name.len == 0)
        return fine && buf_printf(out, "%s\r\n", address);
    fine = fine && (span_is_printable(name) ? put_quoted(out, name) : put_encoded(out, name));
    return fine && buf_printf(out, " <%s>\r\n", address);
}

static bool put_fields(const struct writing *w, struct header_fields *fields, struct buf *out)
{
    struct header_field field;
    bool fine = true;

    while (fine && header_fields_next(fields, &field))
        if (!w->options->recipients_in_header || !is_blind(&field))
            fine = buf_append(out, field.whole);
    return fine;
}

/* Where the text has no empty line behind its fields, all that follows them is the body. */
static bool put_content(const struct writing *w, struct span text, const char *from)
{
    struct buf *out = &w->letter->content;
    struct header_fields fields;
    bool fine = true;

    buf_init(out, text.len + HEADER_ADDED_MAX);
    if (from)
        fine = put_from(w, from, out);
    header_fields_init(&fields, text);
    fine = fine && put_fields(w, &fields, out);
    if (fields.rest.len == 0 || !span_starts_with(fields.rest, SPAN("\r\n")))
        fine = fine && buf_append(out, SPAN("\r\n"));
    return fine && buf_append(out, fields.rest);
}

/* --- the whole ------------------------------------------------------------------------------- */

static bool is_null(const char *sender)
{
    return sender && (sender[0] == '\0' || strcmp(sender, "<>") == 0);
}

/* "ada", "ada@example.net", "<ada@example.net>", "Ada <ada@example.net>". */
static struct error *find_sender(struct writing *w, char room[COMPLETE_SIZE])
{
    const char *given = w->options->sender;
    struct header_addresses addresses;
    struct header_mailbox mailbox;
    char text[ADDRESS_MAX + 1];

    if (!given)
        return complete(w, w->author->login, room);
    room[0] = '\0';
    if (is_null(given))
        return NULL;
    header_addresses_init(&addresses, span_of(given));
    if (!header_addresses_next(&addresses, &mailbox) || !header_mailbox_text(&mailbox, text))
        return error_new(ERROR_PERMANENT, "this is no address: %.200s", given);
    return complete(w, text, room);
}

static bool put_commands(const struct writing *w, const char *sender, bool eight_bit)
{
    const struct sendmail_options *o = w->options;
    struct buf *out = &w->letter->commands;
    const char *body = eight_bit ? "8BITMIME" : o->body;

    return buf_printf(out, "MAIL FROM:<%s>%s%s%s%s%s%s%s\n", sender, body ? " BODY=" : "",
                      body ? body : "", o->ret ? " RET=" : "", o->ret ? o->ret : "",
                      o->envid ? " ENVID=" : "", o->envid ? o->envid : "",
                      w->is_utf8 ? " SMTPUTF8" : "") &&
           buf_append(out, buf_span(&w->recipients));
}

static struct error *check_parameters(const struct sendmail_options *o)
{
    if ((o->notify && !is_harmless(o->notify)) || (o->envid && !is_harmless(o->envid)))
        return error_new(ERROR_PERMANENT, "-N and -V cannot hold control characters");
    return NULL;
}

static struct error *write_envelope(struct writing *w, struct span text, bool eight_bit,
                                    const char *sender, const struct header_facts *facts)
{
    struct error *err = check_parameters(w->options);

    if (!err)
        err = add_arguments(w);
    if (!err && w->options->recipients_in_header)
        err = add_header_recipients(w, text, facts->is_resent);
    if (!err && w->letter->recipients == 0)
        err = error_new(ERROR_PERMANENT, "there is no recipient");
    if (!err && !put_commands(w, sender, eight_bit))
        err = too_many();
    return err;
}

struct error *letter_write(struct span text, bool eight_bit, const struct sendmail_options *options,
                           const struct letter_author *author, struct letter *out)
{
    struct writing w = { .options = options, .author = author, .letter = out };
    const struct header_facts facts = look_at(text);
    char sender[COMPLETE_SIZE], from[COMPLETE_SIZE];
    struct error *err;

    *out = (struct letter){ .recipients = 0 };
    buf_init(&out->commands, COMMANDS_MAX);
    err = find_sender(&w, sender);
    if (!err)
        err = complete(&w, sender[0] != '\0' ? sender : author->login, from);
    if (err)
        return err;
    w.known = map_new();
    buf_init(&w.recipients, COMMANDS_MAX);
    err = write_envelope(&w, text, eight_bit, sender, &facts);
    map_free(&w.known);
    buf_clear(&w.recipients);
    if (!err && !put_content(&w, text, facts.has_from ? NULL : from))
        err = error_new(ERROR_PERMANENT, "the full name is too long");
    return err;
}

void letter_clear(struct letter *letter)
{
    buf_clear(&letter->commands);
    buf_clear(&letter->content);
}

static size_t line_length(struct span text)
{
    return span_find(text, '\n') + 1;
}

bool letter_part(const struct letter *letter, unsigned most, size_t *at, struct buf *out_commands)
{
    struct span all = buf_span(&letter->commands);
    struct span mail = span_first(all, line_length(all));
    struct span rest = span_from(all, *at == 0 ? mail.len : *at);
    size_t len = 0;

    for (unsigned i = 0; i < most && len < rest.len; i++)
        len += line_length(span_from(rest, len));
    *at = all.len - rest.len + len;
    return len > 0 && buf_append(out_commands, mail) &&
           buf_append(out_commands, span_first(rest, len));
}
