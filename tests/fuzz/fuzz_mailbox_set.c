/*
 * fuzz_mailbox_set - a file of the mailboxes there are: what it lists is there, in any case of its
 * letters, what it does not list is not, and each thing that is wrong has a line.
 */
#include "lib/mail/mailbox_set.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has(const struct mailbox_set *set, struct span path)
{
    struct address mailbox;

    return address_parse(path, &mailbox) == ADDRESS_FINE && mailbox_set_has(set, &mailbox);
}

/* A plain line "local@domain", which nothing but an address can be. */
static bool is_plain(struct span line)
{
    size_t letters = 0;

    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] >= 'a' && line.data[i] <= 'z')
            letters++;
        else if (line.data[i] != '@' || letters == 0)
            return false;
    return letters > 0;
}

static void look_up_lines(const struct mailbox_set *set, struct span text)
{
    struct address mailbox;
    struct span line;

    while (span_cut(&text, '\n', &line))
        if (is_plain(line) && address_parse(line, &mailbox) == ADDRESS_FINE)
            ensure(mailbox_set_has(set, &mailbox));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = { (const char *)data, size };
    struct mailbox_set *set = NULL;
    struct settings_errors errors;

    settings_errors_init(&errors);
    if (mailbox_set_parse(text, "mailboxes", &errors, &set)) {
        ensure(buf_len(&errors.text) == 0);
        ensure(mailbox_set_count(set) <= size);
        look_up_lines(set, text);
        ensure(has(set, SPAN("ada@example.net")) == has(set, SPAN("ADA@EXAMPLE.NET")));
        ensure(mailbox_set_count(set) > 0 || !has(set, SPAN("ada@example.net")));
    } else {
        ensure(strncmp(buf_span(&errors.text).data, "mailboxes:", 10) == 0);
    }
    mailbox_set_free(&set);
    settings_errors_clear(&errors);
    return 0;
}
