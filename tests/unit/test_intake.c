/*
 * What becomes of content on its way through a session: duties, bounds, mended lines, copies.
 * `test_intake N` proves with N random messages, instead of a few, that what is received is byte
 * for byte what is queued.
 */
#include "smtpd/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "tests/support/smtpd/hear.h"

enum { MANY_LINES = 100 * 1000 };

static unsigned random_messages = 400;

static int open_rig(void **state)
{
    static struct rig rig;

    rig_init(&rig);
    *state = &rig;
    return 0;
}

static int close_rig(void **state)
{
    rig_close(*state);
    return 0;
}

static struct listener_settings *listener_of(struct rig *rig)
{
    return &rig->settings.listeners[0];
}

static void begin_mail(struct rig *rig)
{
    rig_say(rig, "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\n");
    hear(rig, "250 2.1.0");
    hear(rig, "250 2.1.5");
}

static void begin_data(struct rig *rig)
{
    begin_mail(rig);
    rig_say(rig, "DATA\r\n");
    hear(rig, "354");
}

/* What the queue has behind the field that we put in front. */
static struct span queued(void)
{
    struct span content = buf_span(&fake_queue.content);
    const struct span end = SPAN(" +0000\r\n");

    while (content.len > 0 && !span_starts_with(content, end))
        content = span_from(content, 1);
    return span_from(content, end.len);
}

static void assert_queued(const char *expected)
{
    struct span content = queued();

    assert_int_equal(content.len, strlen(expected));
    assert_memory_equal(content.data, expected, content.len);
    assert_int_equal(fake_queue.facts.size, content.len);
}

static bool has_text(struct span content, const char *text)
{
    for (; content.len > 0; content = span_from(content, 1))
        if (span_starts_with(content, span_of(text)))
            return true;
    return false;
}

/* --- what the header says of TLS */

static bool is_told_of_tls_required_no(struct rig *rig, const char *header)
{
    begin_data(rig);
    rig_say(rig, header);
    rig_say(rig, "\r\nbody\r\n.\r\n");
    hear(rig, "250 2.0.0");
    return fake_queue.facts.tls_required_no;
}

static void the_queue_is_told_that_the_header_says_no(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    assert_true(is_told_of_tls_required_no(rig, "TLS-Required: No\r\n"));
    assert_queued("TLS-Required: No\r\n\r\nbody\r\n");
    assert_false(is_told_of_tls_required_no(rig, "Subject: x\r\n"));
    assert_false(is_told_of_tls_required_no(rig, "\r\nTLS-Required: No\r\n"));
    listener_of(rig)->submission_fixes = SWITCH_ON; /* the header is held */
    assert_true(is_told_of_tls_required_no(rig, "Subject: x\r\nTLS-Required: no\r\n"));
}

static void take_out(struct rig *rig, const char *name);

static void a_field_that_is_taken_out_says_nothing(void **state)
{
    struct rig *rig = *state;

    take_out(rig, "tls-required");
    greet(rig);
    assert_false(is_told_of_tls_required_no(rig, "TLS-Required: No\r\nA: 1\r\n"));
    assert_queued("A: 1\r\n\r\nbody\r\n");
}

/* --- duties */

static void a_submitted_message_gets_what_it_lacks(void **state)
{
    struct rig *rig = *state;

    listener_of(rig)->submission_fixes = SWITCH_ON;
    greet(rig);
    begin_data(rig);
    rig_say(rig, "Subject: x\r\nBcc: c@example.org\r\n\r\n..body\r\n.\r\n");
    hear(rig, "250 2.0.0");
    struct span content = queued();
    assert_true(span_starts_with(content, SPAN("Subject: x\r\nDate: ")));
    assert_true(has_text(content, "@relay.example>\r\n\r\n.body\r\n"));
    assert_true(has_text(content, "\r\nMessage-ID: <"));
    assert_false(has_text(content, "Bcc"));
    assert_int_equal(fake_queue.facts.size, content.len);
    assert_true(rig_has_logged(rig, " size="));
}

static void no_two_messages_get_the_same_id(void **state)
{
    struct rig *rig = *state;
    char first[200];

    listener_of(rig)->submission_fixes = SWITCH_ON;
    greet(rig);
    begin_data(rig);
    rig_say(rig, "Date: x\r\n\r\n.\r\n");
    hear(rig, "250 2.0.0");
    assert_true(span_to_string(queued(), first, sizeof(first)));
    begin_data(rig);
    rig_say(rig, "Date: x\r\n\r\n.\r\n");
    hear(rig, "250 2.0.0");
    assert_int_equal(queued().len, strlen(first));
    assert_memory_not_equal(queued().data, first, strlen(first));
}

static void take_out(struct rig *rig, const char *name)
{
    struct field_names *names = &listener_of(rig)->remove_headers;

    strcpy(names->items[names->count++], name);
}

static void a_header_without_end_is_whole_with_the_message(void **state)
{
    struct rig *rig = *state;

    take_out(rig, "X");
    greet(rig);
    begin_data(rig);
    rig_say(rig, "X: 1\r\nA: 2\r\n.\r\n");
    hear(rig, "250 2.0.0");
    assert_queued("A: 2\r\n");
    begin_data(rig);
    rig_say(rig, ".\r\n");
    hear(rig, "250 2.0.0");
    assert_queued("");
    begin_mail(rig);
    rig_say(rig, "BDAT 4\r\nX: 1BDAT 5\r\n\r\nA:2BDAT 0 LAST\r\n");
    hear(rig, "250 2.0.0");
    hear(rig, "250 2.0.0");
    hear(rig, "250 2.0.0");
    assert_queued("A:2");
}

static void a_held_message_waits_for_credit(void **state)
{
    struct rig *rig = *state;

    take_out(rig, "X");
    fake_queue.window = 7;
    greet(rig);
    begin_data(rig);
    rig_say(rig, "A: 1\r\nX: 2\r\nB: 3\r\n\r\nbody that is longer\r\n.\r\n");
    hear(rig, "250 2.0.0");
    assert_queued("A: 1\r\nB: 3\r\n\r\nbody that is longer\r\n");
    begin_mail(rig);
    rig_say(rig, "BDAT 27 LAST\r\nA: 1\r\n\r\nbody without an end");
    hear(rig, "250 2.0.0");
    assert_queued("A: 1\r\n\r\nbody without an end");
}

static void trouble_of_the_queue_while_a_header_waits_is_told(void **state)
{
    struct rig *rig = *state;

    take_out(rig, "X");
    fake_queue.window = 3;
    fake_queue.gives_credit = false;
    greet(rig);
    begin_data(rig);
    rig_say(rig, "A: 1\r\n\r\nbody\r\n.\r\n");
    rig_settle(rig);
    assert_int_equal(fake_queue.ended, 0);
    fake_queue_answer(ACCEPT_FULL);
    hear(rig, "452 4.3.1");
    begin_data(rig);
    rig_say(rig, "A: 1\r\n\r\nbody\r\n.\r\n");
    rig_settle(rig);
    fake_queue_answer(ACCEPT_DONE); /* of a message that it has not got */
    hear(rig, "451 4.3.0");
    begin_data(rig);
    rig_say(rig, "A: 1\r\n\r\nbo");
    rig_settle(rig);
    fake_queue_answer(ACCEPT_TROUBLE);
    rig_say(rig, "dy\r\n.\r\n");
    hear(rig, "451 4.3.0");
}

static void a_client_may_leave_within_a_header(void **state)
{
    struct rig *rig = *state;

    take_out(rig, "X");
    greet(rig);
    begin_data(rig);
    rig_say(rig, "A: 1\r\n");
    rig_settle(rig);
    greet(rig);
    rig_settle(rig);
    assert_int_equal(fake_queue.aborted, 1);
    begin_mail(rig);
    rig_say(rig, "BDAT 6\r\nA: 1\r\nRSET\r\n");
    hear(rig, "250 2.0.0");
    hear(rig, "250 2.0.0");
    assert_int_equal(fake_queue.aborted, 2);
}

static void what_is_refused_is_forgotten_with_its_header(void **state)
{
    struct rig *rig = *state;

    take_out(rig, "X");
    greet(rig);
    begin_data(rig);
    rig_say(rig, "A: 1\nB: 2\r\n\r\nbody\r\n.\r\n");
    hear(rig, "550 5.6.0");
    begin_data(rig);
    rig_say(rig, "A: 1\r\n\r\n.\r\n");
    hear(rig, "250 2.0.0");
    assert_queued("A: 1\r\n\r\n");
}

/* --- bounds */

static void say_long_line(struct rig *rig, size_t len)
{
    char *line = malloc(len);

    assert_non_null(line);
    memset(line, 'y', len);
    line[1] = ':';
    rig_say_bytes(rig, (struct span){ line, len });
    free(line);
}

static void a_header_has_a_bound_even_in_one_line(void **state)
{
    struct rig *rig = *state;

    greet(rig);
    for (int i = 0; i < 2; i++) { /* whether it is held or not */
        begin_data(rig);
        say_long_line(rig, HEADER_BYTES_MAX + 1);
        rig_say(rig, "\r\n\r\nbody\r\n.\r\n");
        hear(rig, "552 5.3.4");
        take_out(rig, "X");
    }
    begin_data(rig);
    say_long_line(rig, HEADER_BYTES_MAX - 4);
    rig_say(rig, "\r\n\r\nbody\r\n.\r\n");
    hear(rig, "250 2.0.0");
    assert_int_equal(queued().len, HEADER_BYTES_MAX + 6);
}

static void what_duties_make_too_large_is_refused(void **state)
{
    struct rig *rig = *state;
    struct rewrite *row = &rig->settings.rewrites.items[0];

    strcpy(row->from, "b");
    memset(row->to, 'y', 200);
    rig->settings.rewrites.count = 1;
    greet(rig);
    begin_data(rig);
    rig_say(rig, "From: a@b");
    for (int i = 0; i < 40000; i++)
        rig_say(rig, ",a@b");
    rig_say(rig, "\r\n\r\nbody\r\n.\r\n");
    hear(rig, "552 5.3.4");
}

static void the_settings_may_bound_header_and_lines(void **state)
{
    struct rig *rig = *state;

    rig->settings.header_bytes_max = 20;
    rig->settings.line_octets_max = 15;
    greet(rig);
    begin_data(rig);
    rig_say(rig, "A: 1\r\nB: 2\r\nC: 3\r\n\r\n123456789012345\r\n.\r\n");
    hear(rig, "250 2.0.0");
    begin_data(rig);
    rig_say(rig, "A: 1\r\nB: 2\r\nC: 34\r\n\r\nbody\r\n.\r\n");
    hear(rig, "552 5.3.4");
    begin_data(rig);
    rig_say(rig, "A: 1\r\n\r\n1234567890123456\r\n.\r\n");
    hear(rig, "554 5.6.0");
    begin_data(rig);
    rig_say(rig, "A: 1\r\n\r\n.\r\n");
    hear(rig, "250 2.0.0");
}

/* --- bare LF */

static void bare_lfs_are_mended_for_who_is_named_and_logged(void **state)
{
    struct rig *rig = *state;
    struct network_list *networks = &listener_of(rig)->normalise_from;

    greet(rig);
    begin_data(rig);
    rig_say(rig, "A: 1\n\nbody\r\n.\r\n");
    hear(rig, "550 5.6.0");
    assert_true(network_parse(SPAN("192.0.2.0/28"), &networks->items[0]));
    networks->count = 1;
    begin_data(rig);
    rig_say(rig, "A: 1\n\nbody\n.\n.\r\nmore\r\n.\r\n");
    hear(rig, "250 2.0.0");
    assert_queued("A: 1\r\n\r\nbody\r\n.\r\n.\r\nmore\r\n");
    assert_true(rig_has_logged(rig, "bare-lf-mended client=192.0.2.7:4711 lines=4 messages=1"));
    begin_data(rig);
    rig_say(rig, "A: 1\n\nbody\r\n.\r\n");
    hear(rig, "250 2.0.0");
    assert_false(rig_has_logged(rig, "lines=2"));
    rig_open(rig, "192.0.2.99");
    hear(rig, "220 ");
    rig_say(rig, "EHLO client.test\r\n");
    do
        hear(rig, "250");
    while (rig->line[3] == '-');
    begin_data(rig);
    rig_say(rig, "A: 1\n\nbody\r\n.\r\n");
    hear(rig, "550 5.6.0");
}

/* Each becomes two octets: twice of what there is credit for. */
static void bare_lfs_without_end_are_mended_within_the_credit(void **state)
{
    struct rig *rig = *state;
    struct network_list *networks = &listener_of(rig)->normalise_from;
    char *text = memory_new(MANY_LINES + 1);

    fake_queue.gives_credit = true;
    assert_true(network_parse(SPAN("192.0.2.0/28"), &networks->items[0]));
    networks->count = 1;
    memset(text, '\n', MANY_LINES);
    greet(rig);
    begin_data(rig);
    rig_say(rig, "A: 1\n\n");
    rig_say(rig, text);
    rig_say(rig, "\r\n.\r\n");
    free(text);
    hear(rig, "250 2.0.0");
    assert_int_equal(queued().len, strlen("A: 1\r\n\r\n") + 2 * MANY_LINES + strlen("\r\n"));
}

/* --- hashes for signatures */

/* Entries of `dkim` whose bodies are canonical in these ways. */
static void sign_bodies(struct rig *rig, bool relaxed, bool simple)
{
    rig->settings.dkim_count = 0;
    if (relaxed)
        rig->settings.dkim[rig->settings.dkim_count++].forms = DKIM_FORMS_SIMPLE_RELAXED;
    if (simple)
        rig->settings.dkim[rig->settings.dkim_count++].forms = DKIM_FORMS_RELAXED_SIMPLE;
}

static void assert_hashed(bool relaxed, bool simple)
{
    const struct body_hashes *got = &fake_queue.facts.body;
    struct body_hashes expected;

    body_hash_of(queued(), relaxed, simple, &expected);
    assert_int_equal(got->has_relaxed, relaxed);
    assert_int_equal(got->has_simple, simple);
    assert_memory_equal(got->relaxed, expected.relaxed, DKIM_SHA256_SIZE);
    assert_memory_equal(got->simple, expected.simple, DKIM_SHA256_SIZE);
}

static void a_body_is_hashed_as_it_is_queued(void **state)
{
    struct rig *rig = *state;
    struct network_list *networks = &listener_of(rig)->normalise_from;

    assert_true(network_parse(SPAN("192.0.2.0/28"), &networks->items[0]));
    networks->count = 1;
    listener_of(rig)->submission_fixes = SWITCH_ON;
    greet(rig);
    for (unsigned forms = 0; forms < 4; forms++) {
        sign_bodies(rig, forms & 1, forms & 2);
        begin_data(rig);
        rig_say(rig, "Subject: x\r\nBcc: y\r\n\r\n..dot \t \nmended\n\r\n\r\n.\r\n");
        hear(rig, "250 2.0.0");
        assert_hashed(forms & 1, forms & 2);
        begin_data(rig);
        rig_say(rig, "Subject: no body\r\n.\r\n");
        hear(rig, "250 2.0.0");
        assert_hashed(forms & 1, forms & 2);
    }
}

/* --- copies, and what Received tells */

static void a_copy_is_one_more_recipient_whom_nobody_sees(void **state)
{
    struct rig *rig = *state;

    strcpy(listener_of(rig)->copy_to, "journal@example.org");
    greet(rig);
    begin_data(rig);
    rig_say(rig, "A: 1\r\n\r\n.\r\n");
    hear(rig, "250 2.0.0");
    assert_string_equal(fake_queue.recipients, "b@example.com journal@example.org");
    assert_true(has_text(buf_span(&fake_queue.content), "for <b@example.com>"));
    assert_false(has_text(buf_span(&fake_queue.content), "journal"));
    rig_say(rig, "MAIL FROM:<a@example.net>\r\nRCPT TO:<Journal@example.org>\r\nDATA\r\n");
    hear(rig, "250 2.1.0");
    hear(rig, "250 2.1.5");
    hear(rig, "354");
    rig_say(rig, "A: 1\r\n\r\n.\r\n");
    hear(rig, "250 2.0.0");
    assert_string_equal(fake_queue.recipients, "Journal@example.org");
}

/* --- byte for byte */

enum { MESSAGE_MAX = 40000 };

struct message {
    char bytes[MESSAGE_MAX];
    size_t len;
};

static void put(struct message *m, const char *bytes, size_t len)
{
    if (m->len + len > sizeof(m->bytes))
        return;
    memcpy(m->bytes + m->len, bytes, len);
    m->len += len;
}

static void put_text(struct message *m, const char *text)
{
    put(m, text, strlen(text));
}

/* A line of any bytes but CR, LF and NUL, sometimes with dots in front, sometimes long. */
static void put_line(struct message *m)
{
    static const char *const starts[] = { ".", "..", "...", "From ", ".\t", " ", "\t", "", "", "" };
    unsigned char line[3000];
    size_t len = (size_t)random_below(random_below(20) == 0 ? sizeof(line) : 90);

    random_bytes(line, len);
    for (size_t i = 0; i < len; i++)
        if (line[i] == '\r' || line[i] == '\n' || line[i] == '\0')
            line[i] = '.';
    put_text(m, starts[random_below(sizeof(starts) / sizeof(starts[0]))]);
    put(m, (const char *)line, len);
    put_text(m, "\r\n");
}

static void put_header(struct message *m)
{
    static const char *const fields[] = {
        "From: Ada <ada@example.net>\r\n",
        "To: root, (x) \"a b\"@c.example,\r\n d\r\n",
        "Subject: =?utf-8?Q?=C3=A4?=\r\n",
        "X-Odd : \xff\xfe\r\n\t.folded\r\n",
        "Received: from x\r\n",
        "Bcc: nobody\r\n",
        "Date: never\r\n",
        "no field\r\n",
    };

    for (uint64_t i = random_below(12); i > 0; i--)
        put_text(m, fields[random_below(sizeof(fields) / sizeof(fields[0]))]);
}

static void make_message(struct message *m)
{
    m->len = 0;
    put_header(m);
    if (random_below(10) > 0)
        put_text(m, "\r\n");
    for (uint64_t i = random_below(30); i > 0; i--)
        put_line(m);
}

/* Says bytes in pieces of any size. */
static void say_in_pieces(struct rig *rig, struct span bytes)
{
    while (bytes.len > 0) {
        struct span piece =
            span_first(bytes, 1 + (size_t)random_below(random_below(2) ? 40 : 9000));
        rig_say_bytes(rig, piece);
        bytes = span_from(bytes, piece.len);
    }
}

static void send_as_data(struct rig *rig, const struct message *m)
{
    struct buf wire;

    buf_init(&wire, 2 * MESSAGE_MAX + 3);
    for (size_t i = 0; i < m->len; i++) {
        bool begins_line = i == 0 || m->bytes[i - 1] == '\n';
        if (begins_line && m->bytes[i] == '.')
            assert_true(buf_append(&wire, SPAN(".")));
        assert_true(buf_append(&wire, (struct span){ m->bytes + i, 1 }));
    }
    assert_true(buf_append(&wire, SPAN(".\r\n")));
    begin_data(rig);
    say_in_pieces(rig, buf_span(&wire));
    buf_clear(&wire);
}

static void send_as_chunks(struct rig *rig, const struct message *m)
{
    struct span rest = { m->bytes, m->len };
    bool is_last = false;
    char command[40];

    begin_mail(rig);
    while (!is_last) {
        struct span chunk = span_first(rest, (size_t)random_below(MESSAGE_MAX / 2));
        is_last = chunk.len == rest.len;
        snprintf(command, sizeof(command), "BDAT %zu%s\r\n", chunk.len, is_last ? " LAST" : "");
        rig_say(rig, command);
        say_in_pieces(rig, chunk);
        rest = span_from(rest, chunk.len);
        if (!is_last)
            hear(rig, "250 2.0.0");
    }
}

static void what_is_received_is_byte_for_byte_what_is_queued(void **state)
{
    static struct message message;
    struct rig *rig = *state;

    greet(rig);
    for (unsigned i = 0; i < random_messages; i++) {
        make_message(&message);
        bool relaxed = random_below(2), simple = random_below(2);
        sign_bodies(rig, relaxed, simple);
        fake_queue.window = random_below(2) ? 300 + (size_t)random_below(4000) : 1 << 20;
        listener_of(rig)->remove_headers.count = 0;
        if (random_below(2)) /* held, though none has it */
            take_out(rig, "X-Nobody-Has-It");
        if (random_below(2)) {
            send_as_data(rig, &message);
        } else {
            if (random_below(2) && message.len > 1)
                message.len -= 2; /* chunks need no line end */
            send_as_chunks(rig, &message);
        }
        hear(rig, "250 2.0.0 Ok: queued as");
        assert_int_equal(queued().len, message.len);
        assert_memory_equal(queued().data ? queued().data : "", message.bytes, message.len);
        assert_int_equal(fake_queue.facts.size, message.len);
        assert_hashed(relaxed, simple);
    }
    if (random_messages > 1000)
        printf("%u random messages: each byte for byte as it was received\n", random_messages);
}

#define TEST(title, test)                                                                          \
    {                                                                                              \
        title, test, open_rig, close_rig, NULL                                                     \
    }

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST("a submitted message gets what it lacks, and its size is that of what is queued",
             a_submitted_message_gets_what_it_lacks),
        TEST("no two messages get the same Message-ID", no_two_messages_get_the_same_id),
        TEST("a header without an empty line is whole with the message",
             a_header_without_end_is_whole_with_the_message),
        TEST("a held message waits for the queue's credit", a_held_message_waits_for_credit),
        TEST("trouble of the queue while a header waits is told",
             trouble_of_the_queue_while_a_header_waits_is_told),
        TEST("a client may leave within a header", a_client_may_leave_within_a_header),
        TEST("what is refused is forgotten with its header",
             what_is_refused_is_forgotten_with_its_header),
        TEST("a header has a bound, even in one line", a_header_has_a_bound_even_in_one_line),
        TEST("what duties make too large is refused", what_duties_make_too_large_is_refused),
        TEST("the settings may bound header and lines", the_settings_may_bound_header_and_lines),
        TEST("the queue is told that the header says TLS-Required: No (RFC 8689 s.3)",
             the_queue_is_told_that_the_header_says_no),
        TEST("a TLS-Required field that is taken out says nothing",
             a_field_that_is_taken_out_says_nothing),
        TEST("bare LFs are mended for who is named, and logged once",
             bare_lfs_are_mended_for_who_is_named_and_logged),
        TEST("bare LFs without end are mended within the credit",
             bare_lfs_without_end_are_mended_within_the_credit),
        TEST("a body is hashed as it is queued, in the forms that are wanted, and else not",
             a_body_is_hashed_as_it_is_queued),
        TEST("a copy is one more recipient whom nobody sees",
             a_copy_is_one_more_recipient_whom_nobody_sees),
        TEST("what is received is byte for byte what is queued",
             what_is_received_is_byte_for_byte_what_is_queued),
    };

    if (argc > 1)
        random_messages = (unsigned)strtoul(argv[1], NULL, 10);
    return cmocka_run_group_tests_name("intake", tests, NULL, NULL);
}
