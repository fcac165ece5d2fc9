/*
 * fuzz_notify - whatever a remote said, a client asked for and a message holds: a notification is
 * 7-bit, in lines that end with CRLF, of five delimiters at most, and says what it must.
 * Input: one byte of choices, then reply, ENVID, ORCPT and addresses, each up to a NUL; the rest is
 * the original.
 */
#include "lib/base/error.h"
#include "lib/base/limits.h"
#include "lib/ipc/channel.h"
#include "lib/mail/address.h"
#include "queue/notify.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span next_text(struct span *rest)
{
    struct span text = SPAN("");

    (void)span_cut(rest, '\0', &text);
    return text;
}

static size_t occurrences(struct span text, struct span words)
{
    size_t count = 0;

    for (const char *at; text.len > 0 && (at = memmem(text.data, text.len, words.data, words.len));
         count++)
        text = span_from(text, (size_t)(at - text.data) + words.len);
    return count;
}

/* RFC 5322 s.2.1.1, s.2.3; only the To field of an address that has no ASCII form is UTF-8. */
static void check_lines(struct span text)
{
    size_t column = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        column = c == '\n' ? 0 : column + 1;
        ensure(column <= 999 && c != 0 && c < 0x80);
        ensure((c == '\n') == (i > 0 && text.data[i - 1] == '\r'));
    }
}

static void check(struct span text, const struct notify_facts *facts)
{
    struct span name = SPAN("\tboundary=\"");
    const char *at = memmem(text.data, text.len, name.data, name.len);
    char delimiter[80] = "\r\n--";

    ensure(at != NULL);
    struct span rest = span_from(text, (size_t)(at - text.data) + name.len);
    struct span boundary = span_first(rest, span_find(rest, '"'));
    ensure(boundary.len > 0 && boundary.len <= 70);
    memcpy(delimiter + 4, boundary.data, boundary.len);
    ensure(occurrences(text, span_of(delimiter)) == 4);
    size_t fields = occurrences(text, SPAN("\r\nFinal-Recipient: ")) -
                    occurrences(text, SPAN("=\r\nFinal-Recipient: ")); /* a soft line break */
    ensure(fields <= facts->count + occurrences(facts->original, SPAN("Final-Recipient: ")));
    ensure(occurrences(text, SPAN("\r\nReporting-MTA: dns; relay.example\r\n")) >= 1);
    check_lines(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = { (const char *)data, size };
    struct notify_settings settings = { .hostname = "relay.example" };
    Ipc__Mailbox reverse_path = IPC__MAILBOX__INIT, forward_path = IPC__MAILBOX__INIT;
    Ipc__Envelope envelope = IPC__ENVELOPE__INIT;
    Ipc__Recipient recipient = IPC__RECIPIENT__INIT;
    Queue__MessageRecord message = QUEUE__MESSAGE_RECORD__INIT;
    Queue__RecipientRecord record = QUEUE__RECIPIENT_RECORD__INIT;
    Ipc__Result result = IPC__RESULT__INIT;
    struct buf text;

    if (size < 1)
        return 0;
    unsigned choices = data[0];
    rest = span_from(rest, 1);
    result.reply = bytes_of_span(next_text(&rest));
    result.status = bytes_of_span(SPAN("5.1.1"));
    result.remote = choices & 1;
    envelope.envid = bytes_of_span(next_text(&rest));
    envelope.smtputf8 = (choices & 2) != 0;
    envelope.ret = choices >> 2 & 3;
    recipient.orcpt = bytes_of_span(next_text(&rest));
    forward_path.text = bytes_of_span(next_text(&rest));
    envelope.client_name = bytes_of_span(next_text(&rest));
    reverse_path.text = bytes_of_span(SPAN("ada@sender.test"));
    envelope.reverse_path = &reverse_path;
    recipient.forward_path = &forward_path;
    message.envelope = &envelope;
    record.recipient = &recipient;
    struct notify_recipient told = { .record = &record,
                                     .result = &result,
                                     .action = (enum notify_action)(choices >> 4 & 3) };
    struct notify_facts facts = {
        .settings = &settings,
        .id = 1,
        .original_id = 2,
        .message = &message,
        .recipients = &told,
        .count = 1,
        .to = SPAN("ada@sender.test"),
        .original = span_first(rest, NOTIFY_WHOLE_MAX),
        .original_is_whole = rest.len <= NOTIFY_WHOLE_MAX,
    };
    buf_init(&text, NOTIFY_TEXT_MAX);
    ensure(notify_write(&facts, &text));
    check(buf_span(&text), &facts);
    buf_clear(&text);
    return 0;
}
