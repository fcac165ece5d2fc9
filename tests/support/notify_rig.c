#include "tests/support/notify_rig.h"

#include <string.h>

#include "lib/ipc/channel.h"

static const char headers[] = "Received: from client by relay id 3f9c21;\r\n"
                              "Subject: lunch\r\n"
                              "From: <ada@sender.test>\r\n\r\n";

ProtobufCBinaryData text_bytes(const char *text)
{
    return bytes_of_span(span_of(text));
}

static void set_message(struct notify_rig *f)
{
    ipc__mailbox__init(&f->reverse_path);
    f->reverse_path.text = text_bytes("ada@sender.test");
    ipc__envelope__init(&f->envelope);
    f->envelope.reverse_path = &f->reverse_path;
    f->envelope.client_name = text_bytes("laptop.test");
    f->envelope.client_address = text_bytes("\xc0\x01\x02\x09");
    queue__message_record__init(&f->message);
    f->message.envelope = &f->envelope;
    f->message.accepted_utc_ms = INT64_C(1769767200000);
}

static void set_recipient(struct notify_rig *f)
{
    ipc__mailbox__init(&f->forward_path);
    f->forward_path.text = text_bytes("Bob@Example.NET");
    ipc__recipient__init(&f->recipient);
    f->recipient.forward_path = &f->forward_path;
    queue__recipient_record__init(&f->record);
    f->record.recipient = &f->recipient;
    ipc__result__init(&f->result);
    f->result.kind = IPC__RESULT_KIND__FAILED;
    f->result.status = text_bytes("5.1.1");
    f->result.reply = text_bytes("550-5.1.1 no such user\n550 5.1.1 see policy page");
    f->result.remote = true;
    ipc__candidate__init(&f->candidate);
    f->candidate.mx = text_bytes("mx1.example.net");
    f->candidate.verdict = text_bytes("refused");
    f->candidates[0] = &f->candidate;
    ipc__decision__init(&f->decision);
    f->decision.policy = text_bytes("none");
    f->decision.at_utc_ms = INT64_C(1769767203000);
    f->decision.candidates = f->candidates;
    f->decision.n_candidates = 1;
    f->failed = (struct notify_recipient){ .record = &f->record,
                                           .result = &f->result,
                                           .decision = &f->decision };
}

int notify_rig_open(void **state)
{
    static struct notify_rig f;
    f = (struct notify_rig){ .settings = { .hostname = "relay.example",
                                           .postmaster = "postmaster@relay.example" } };
    set_message(&f);
    set_recipient(&f);
    buf_init(&f.original, 1024 * 1024);
    buf_init(&f.text, NOTIFY_TEXT_MAX);
    assert_true(buf_append(&f.original, span_of(headers)));
    assert_true(buf_append(&f.original, SPAN("See you at noon.\r\n")));
    f.notify = (struct notify_facts){
        .settings = &f.settings,
        .to = SPAN("ada@sender.test"),
        .id = 0xabc,
        .original_id = 0x3f9c21,
        .message = &f.message,
        .recipients = &f.failed,
        .count = 1,
        .now_ms = INT64_C(1769767210000),
    };
    *state = &f;
    return 0;
}

int notify_rig_close(void **state)
{
    struct notify_rig *f = *state;
    buf_clear(&f->original);
    buf_clear(&f->text);
    return 0;
}

struct span written(struct notify_rig *f)
{
    f->notify.original = span_first(buf_span(&f->original), NOTIFY_WHOLE_MAX);
    f->notify.original_is_whole = f->notify.original.len == buf_len(&f->original);
    buf_reset(&f->text);
    assert_true(notify_write(&f->notify, &f->text));
    return buf_span(&f->text);
}

bool has(struct span text, const char *words)
{
    return memmem(text.data, text.len, words, strlen(words)) != NULL;
}

void says(struct notify_rig *f, const char *words)
{
    if (!has(written(f), words)) {
        fail_msg("lacks \"%s\"", words);
    }
}

void says_not(struct notify_rig *f, const char *words)
{
    if (has(written(f), words)) {
        fail_msg("has \"%s\"", words);
    }
}

/* Blanks and line ends become one blank each. */
static void flatten(struct span text, struct buf *out)
{
    bool was_blank = false;

    for (size_t i = 0; i < text.len; i++) {
        bool is_blank = text.data[i] <= ' ';
        if (is_blank && !was_blank)
            assert_true(buf_append(out, SPAN(" ")));
        if (!is_blank)
            assert_true(buf_append(out, span_first(span_from(text, i), 1)));
        was_blank = is_blank;
    }
}

void tells(struct notify_rig *f, const char *words)
{
    struct buf flat;

    buf_init(&flat, NOTIFY_TEXT_MAX);
    flatten(written(f), &flat);
    bool found = has(buf_span(&flat), words);
    buf_clear(&flat);
    if (!found) {
        fail_msg("does not tell \"%s\"", words);
    }
}
