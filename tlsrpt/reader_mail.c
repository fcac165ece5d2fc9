#include "tlsrpt/reader_mail.h"

#include "lib/io/gzip.h"
#include "lib/mail/header_addresses.h"
#include "lib/mail/header_fields.h"
#include "tlsrpt/reader_decode.h"

#include <stdio.h>

enum { BEGINNING = 4096, BOUNDARY_SIZE = 256 };

/* A mail or a part of one, its fields as far as they matter. */
struct entity {
    struct span type; /* bodies of fields; empty for none */
    struct span encoding;
    struct span disposition;
    struct span from;
    struct span report_domain;
    struct span submitter;
    struct span content;
};

/* What speaks for a part, from the least to the most; a beginning counts more than any name. */
enum worth { WORTH_NOTHING, WORTH_NAME, WORTH_TYPE, WORTH_BEGINNING };

struct search {
    struct reader_notes *notes;
    struct reader_mail *found;
    const struct entity *mail; /* the innermost one around what is looked at */
    int depth;
    int mail_depth;
    int parts;
    int reports;
    int best;
    size_t decoded; /* bytes of mails around what is looked at */
};

/* --- fields ---------------------------------------------------------------------------------- */

static struct entity take_apart(struct span text)
{
    struct entity entity = { 0 };
    const struct {
        struct span name;
        struct span *body;
    } known[] = {
        { SPAN("Content-Type"), &entity.type },
        { SPAN("Content-Transfer-Encoding"), &entity.encoding },
        { SPAN("Content-Disposition"), &entity.disposition },
        { SPAN("From"), &entity.from },
        { SPAN("TLS-Report-Domain"), &entity.report_domain },
        { SPAN("TLS-Report-Submitter"), &entity.submitter },
    };
    struct header_fields fields;
    struct header_field field;

    header_fields_init(&fields, text);
    while (header_fields_next(&fields, &field))
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            if (known[i].body->data == NULL && span_equal_nocase(field.name, known[i].name))
                *known[i].body = span_trim(field.body);
    entity.content = fields.rest;
    if (span_starts_with(entity.content, SPAN("\r\n")))
        entity.content = span_from(entity.content, 2);
    else if (span_starts_with(entity.content, SPAN("\n")))
        entity.content = span_from(entity.content, 1);
    return entity;
}

/* Steps over blanks and ends of lines. */
static struct span skip_space(struct span text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t' || text.data[0] == '\r' ||
                            text.data[0] == '\n'))
        text = span_from(text, 1);
    return text;
}

/* A value in quotes, or a word; gives the bytes used. */
static size_t take_value(struct span text, char room[READER_WORDS_SIZE])
{
    bool quoted = text.len > 0 && text.data[0] == '"';
    size_t at = quoted ? 1 : 0;
    size_t len = 0;

    for (; at < text.len && text.data[at] != (quoted ? '"' : ';'); at++) {
        if (quoted && text.data[at] == '\\' && at + 1 < text.len)
            at++;
        if (len + 1 < READER_WORDS_SIZE)
            room[len++] = text.data[at];
    }
    while (!quoted && len > 0 && (unsigned char)room[len - 1] <= ' ')
        len--;
    room[len] = '\0';
    return at;
}

/* A parameter of a field such as Content-Type (RFC 2045 s.5.1); "" when there is none. */
static void get_parameter(struct span field, struct span name, char room[READER_WORDS_SIZE])
{
    struct span rest = span_from(field, span_find(field, ';') + 1);

    room[0] = '\0';
    while (rest.len > 0) {
        size_t equals = span_find(rest, '=');
        struct span key = span_trim(skip_space(span_first(rest, equals)));
        rest = skip_space(span_from(rest, equals + 1));
        rest = span_from(rest, take_value(rest, room));
        if (span_equal_nocase(key, name))
            return;
        room[0] = '\0';
        rest = span_from(rest, span_find(rest, ';') + 1);
    }
}

/* "text/plain", also for parts that say nothing (RFC 2045 s.5.2). */
static struct span type_of(const struct entity *entity)
{
    struct span type = span_trim(span_first(entity->type, span_find(entity->type, ';')));

    return type.len > 0 ? type : SPAN("text/plain");
}

static void copy_words(struct span words, char room[READER_WORDS_SIZE])
{
    if (!span_to_string(span_trim(span_first(words, READER_WORDS_SIZE - 1)), room,
                        READER_WORDS_SIZE))
        room[0] = '\0';
}

static void copy_author(struct span from, char room[ADDRESS_MAX + 1])
{
    struct header_addresses list;
    struct header_mailbox mailbox;

    header_addresses_init(&list, from);
    if (!header_addresses_next(&list, &mailbox) || !header_mailbox_text(&mailbox, room))
        room[0] = '\0';
}

/* --- is it a report? ------------------------------------------------------------------------- */

bool reader_is_json(struct span text)
{
    text = skip_space(text);
    return text.len > 0 && (text.data[0] == '{' || text.data[0] == '[');
}

bool reader_mail_is(struct span text)
{
    struct header_fields fields;
    struct header_field field;

    header_fields_init(&fields, text);
    return header_fields_next(&fields, &field);
}

static bool is_report_type(struct span type)
{
    return span_equal_nocase(type, SPAN("application/tlsrpt+gzip")) ||
           span_equal_nocase(type, SPAN("application/tlsrpt+json"));
}

static void get_file_name(const struct entity *entity, char room[READER_WORDS_SIZE])
{
    get_parameter(entity->disposition, SPAN("filename"), room);
    if (room[0] == '\0')
        get_parameter(entity->type, SPAN("name"), room);
}

static bool has_report_name(const struct entity *entity)
{
    char name[READER_WORDS_SIZE];

    get_file_name(entity, name);
    return span_ends_with_nocase(span_of(name), SPAN(".json")) ||
           span_ends_with_nocase(span_of(name), SPAN(".gz"));
}

/* Prose may begin with a bracket, but hardly with a brace. */
static bool begins_as_report(const struct entity *entity, bool is_named)
{
    struct buf beginning;
    struct span text = span_first(entity->content, BEGINNING);
    bool is_report;

    buf_init(&beginning, BEGINNING);
    reader_decode(reader_encoding_of(entity->encoding), text, &beginning);
    text = skip_space(buf_span(&beginning));
    if (span_starts_with(text, SPAN("\xef\xbb\xbf")))
        text = skip_space(span_from(text, 3));
    is_report = gzip_is_packed(text) || span_starts_with(text, SPAN("{")) ||
                (is_named && span_starts_with(text, SPAN("[")));
    buf_clear(&beginning);
    return is_report;
}

static int worth_of(const struct entity *entity)
{
    int worth = WORTH_NOTHING;

    if (is_report_type(type_of(entity)))
        worth = WORTH_TYPE;
    else if (has_report_name(entity))
        worth = WORTH_NAME;
    return begins_as_report(entity, worth > WORTH_NOTHING) ? worth + WORTH_BEGINNING : worth;
}

/* --- the walk -------------------------------------------------------------------------------- */

static void keep(struct search *search, const struct entity *entity)
{
    struct reader_mail *found = search->found;

    buf_clear(&found->content);
    buf_init(&found->content, entity->content.len);
    reader_decode(reader_encoding_of(entity->encoding), entity->content, &found->content);
    copy_words(type_of(entity), found->media_type);
    get_file_name(entity, found->file_name);
    copy_author(search->mail->from, found->from);
    copy_words(search->mail->report_domain, found->report_domain);
    copy_words(search->mail->submitter, found->submitter);
    found->forwarded = search->mail_depth > 1;
}

static void visit_leaf(struct search *search, const struct entity *entity)
{
    int worth = worth_of(entity);

    search->reports += worth >= WORTH_BEGINNING;
    if (worth <= search->best)
        return;
    search->best = worth;
    keep(search, entity);
}

static void visit(struct search *search, struct span text, bool is_mail);

/* RFC 2046 s.5.2.1 forbids that, and it is done. */
static void visit_encoded_mail(struct search *search, const struct entity *entity)
{
    size_t size = entity->content.len;
    struct buf mail;

    if (size > READER_MAIL_DECODED_MAX - search->decoded) {
        reader_note(search->notes, NOTE_PARTS_LEFT_OUT);
        return;
    }
    buf_init(&mail, size);
    reader_decode(reader_encoding_of(entity->encoding), entity->content, &mail);
    search->decoded += size;
    visit(search, buf_span(&mail), true);
    search->decoded -= size;
    buf_clear(&mail);
}

/* A mail within a mail. */
static void visit_mail(struct search *search, const struct entity *entity)
{
    if (reader_encoding_of(entity->encoding) == ENCODING_NONE)
        visit(search, entity->content, true);
    else
        visit_encoded_mail(search, entity);
}

enum line_kind { LINE_OTHER, LINE_BEGINS_PART, LINE_ENDS_PARTS };

static enum line_kind kind_of_line(struct span line, struct span boundary)
{
    if (!span_starts_with(line, SPAN("--")) || !span_starts_with(span_from(line, 2), boundary))
        return LINE_OTHER;
    line = skip_space(span_from(line, 2 + boundary.len));
    if (line.len == 0)
        return LINE_BEGINS_PART;
    return span_starts_with(line, SPAN("--")) ? LINE_ENDS_PARTS : LINE_OTHER;
}

/* Visits what stands between the lines that `boundary` makes (RFC 2046 s.5.1.1); the last part may
 * lack its end. */
static void visit_parts(struct search *search, struct span rest, struct span boundary)
{
    struct span part = { NULL, 0 };
    struct span line;

    while (span_cut(&rest, '\n', &line)) {
        enum line_kind kind = kind_of_line(line, boundary);
        if (kind != LINE_OTHER && part.data)
            visit(search, span_first(part, (size_t)(line.data - part.data)), false);
        if (kind == LINE_ENDS_PARTS)
            return;
        if (kind == LINE_BEGINS_PART)
            part = rest;
    }
    if (part.data)
        visit(search, part, false);
}

static void visit_entity(struct search *search, const struct entity *entity)
{
    struct span type = type_of(entity);
    char boundary[READER_WORDS_SIZE];

    get_parameter(entity->type, SPAN("boundary"), boundary);
    if (span_starts_with_nocase(type, SPAN("multipart/")) && boundary[0] != '\0')
        visit_parts(search, entity->content, span_of(boundary));
    else if (span_equal_nocase(type, SPAN("message/rfc822")) ||
             span_equal_nocase(type, SPAN("message/global")))
        visit_mail(search, entity);
    else
        visit_leaf(search, entity);
}

static void visit(struct search *search, struct span text, bool is_mail)
{
    const struct entity *around = search->mail;
    struct entity entity;

    if (search->depth == READER_MAIL_DEPTH || search->parts == READER_MAIL_PARTS) {
        reader_note(search->notes, NOTE_PARTS_LEFT_OUT);
        return;
    }
    entity = take_apart(text);
    if (is_mail)
        search->mail = &entity;
    search->mail_depth += is_mail;
    search->depth++;
    search->parts++;
    visit_entity(search, &entity);
    search->depth--;
    search->mail_depth -= is_mail;
    search->mail = around;
}

/* --- all of it ------------------------------------------------------------------------------- */

static bool is_report_mail(struct span mail)
{
    struct entity entity = take_apart(mail);
    char kind[READER_WORDS_SIZE];

    get_parameter(entity.type, SPAN("report-type"), kind);
    return span_equal_nocase(type_of(&entity), SPAN("multipart/report")) &&
           span_equal_nocase(span_of(kind), SPAN("tlsrpt"));
}

static void note_form(const struct reader_mail *found, struct span mail, struct reader_notes *notes)
{
    bool is_packed = gzip_is_packed(buf_span(&found->content));

    if (found->forwarded)
        reader_note(notes, NOTE_REPORT_WITHIN_A_MAIL);
    else if (!is_report_mail(mail))
        reader_note(notes, NOTE_NOT_A_REPORT_MAIL);
    if (found->report_domain[0] == '\0' || found->submitter[0] == '\0')
        reader_note(notes, NOTE_SUBMITTER_MISSING);
    if (!is_report_type(span_of(found->media_type)))
        reader_note(notes, NOTE_MEDIA_TYPE);
    else if (span_ends_with_nocase(span_of(found->media_type), SPAN("+gzip")) != is_packed)
        reader_note(notes, NOTE_MEDIA_TYPE_DIFFERS);
}

bool reader_mail_find(struct span mail, struct reader_notes *notes, struct reader_mail *out)
{
    struct search search = { .notes = notes, .found = out };

    *out = (struct reader_mail){ 0 };
    visit(&search, mail, true);
    if (search.best == WORTH_NOTHING)
        return false;
    if (search.reports > 1)
        reader_note(notes, NOTE_MORE_REPORTS);
    note_form(out, mail, notes);
    return true;
}

void reader_mail_clear(struct reader_mail *mail)
{
    buf_clear(&mail->content);
}
