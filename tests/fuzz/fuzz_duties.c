/*
 * fuzz_duties - a header block through its duties.  Without any it is the same; with all of them
 * fields that nobody asked about stay, in their order and byte for byte, a second time changes
 * nothing more, and what was asked for is there or gone.
 */
#include <string.h>

#include "lib/mail/header_fields.h"
#include "smtpd/duties.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 24 };

static struct settings settings;

static struct duties make_duties(bool has_any)
{
    static const unsigned char random[DUTIES_RANDOM_SIZE];
    struct listener_settings *listener = &settings.listeners[0];
    struct duties duties;

    memset(&settings, 0, sizeof(settings));
    strcpy(settings.origin, "b.lan");
    if (has_any) {
        listener->submission_fixes = SWITCH_ON;
        listener->complete_addresses = SWITCH_ON;
        strcpy(listener->remove_headers.items[0], "X");
        listener->remove_headers.count = 1;
        settings.rewrites = (struct rewrite_list){
            .items = { { "a@b.lan", "c@e.test" }, { "b.lan", "e.test" }, { ".lan", "f.test" } },
            .count = 3,
        };
    }
    duties_init(&duties, &settings, listener);
    duties_name_message(&duties, "relay.test", 0, random);
    return duties;
}

static void apply(const struct duties *duties, struct span block, struct buf *out)
{
    buf_init(out, OUT_MAX);
    ensure(duties_apply(duties, block, out));
}

static bool is_one_of(struct span name, const char *const *names)
{
    for (; *names; names++)
        if (span_equal_nocase(name, span_of(*names)))
            return true;
    return false;
}

static const char *const goes[] = { "Bcc", "Resent-Bcc", "Return-Path", "X", NULL };
static const char *const changes[] = {
    "From",      "Sender",    "Reply-To",        "To", "Cc", "Resent-From", "Resent-Sender",
    "Resent-To", "Resent-Cc", "Resent-Reply-To", NULL
};

/* The fields that stay as they are, found one behind the other. */
static void check_fields(struct span before, struct span after)
{
    struct header_fields was, is;
    struct header_field field, left;

    header_fields_init(&was, before);
    header_fields_init(&is, after);
    while (header_fields_next(&was, &field)) {
        if (is_one_of(field.name, goes))
            continue;
        ensure(header_fields_next(&is, &left));
        ensure(span_equal(left.name, field.name));
        ensure(is_one_of(field.name, changes) || span_equal(left.body, field.body));
    }
    while (header_fields_next(&is, &left))
        ensure(span_equal(left.name, SPAN("Date")) || span_equal(left.name, SPAN("Message-ID")));
    ensure(span_equal(was.rest, is.rest));
}

/* As the content of a message comes: no NUL, and only CRLF at the ends of lines. */
static void as_content(const uint8_t *data, size_t size, struct buf *out)
{
    buf_init(out, OUT_MAX);
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n')
            ensure(buf_append(out, SPAN("\r\n")));
        else if (data[i] != '\r' && data[i] != '\0')
            ensure(buf_append(out, (struct span){ (const char *)data + i, 1 }));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct duties duties = make_duties(false);
    struct buf content, once, twice;

    as_content(data, size, &content);
    struct span block = buf_span(&content);
    apply(&duties, block, &once);
    ensure(span_equal(buf_span(&once), block));
    buf_clear(&once);
    duties = make_duties(true);
    apply(&duties, block, &once);
    check_fields(block, buf_span(&once));
    apply(&duties, buf_span(&once), &twice);
    ensure(span_equal(buf_span(&once), buf_span(&twice)));
    buf_clear(&content);
    buf_clear(&once);
    buf_clear(&twice);
    return 0;
}
