/*
 * fuzz_header_addresses - a header block and its address lists: fields follow each other without a
 * gap, addresses lie in order within the body and apart from each other, and each is found again
 * when it stands alone.
 */
#include <string.h>

#include "lib/base/error.h"
#include "lib/mail/header_addresses.h"
#include "lib/mail/header_fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ensure_within(struct span outer, struct span inner)
{
    ensure(inner.data >= outer.data && inner.data + inner.len <= outer.data + outer.len);
}

static void check_alone(const struct header_mailbox *mailbox)
{
    char text[ADDRESS_MAX + 1], again[ADDRESS_MAX + 1];
    struct header_addresses list;
    struct header_mailbox found;

    if (!header_mailbox_text(mailbox, text))
        return;
    header_addresses_init(&list, span_of(text));
    ensure(header_addresses_next(&list, &found));
    ensure(header_mailbox_text(&found, again) && strcmp(text, again) == 0);
    ensure((found.domain.len == 0) == (mailbox->domain.len == 0));
}

static void check_body(struct span body)
{
    struct header_addresses list;
    struct header_mailbox mailbox;
    const char *last = body.data;

    header_addresses_init(&list, body);
    while (header_addresses_next(&list, &mailbox)) {
        ensure(mailbox.whole.len > 0 && mailbox.whole.data >= last);
        ensure_within(body, mailbox.whole);
        ensure_within(mailbox.whole, mailbox.local);
        ensure_within(mailbox.whole, mailbox.domain);
        last = mailbox.whole.data + mailbox.whole.len;
        check_alone(&mailbox);
    }
}

static void count(void *ctx, struct span text)
{
    ensure(text.len > 0);
    ++*(unsigned *)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span block = { (const char *)data, size };
    struct header_fields fields;
    struct header_field field;
    unsigned authors = 0;

    check_body(block);
    header_fields_init(&fields, block);
    const char *at = fields.rest.data;
    while (header_fields_next(&fields, &field)) {
        ensure(field.whole.data == at && field.name.len > 0);
        ensure_within(field.whole, field.name);
        ensure_within(field.whole, field.body);
        at = field.whole.data + field.whole.len;
        check_body(field.body);
    }
    header_visit_authors(block, count, &authors);
    return 0;
}
