/* The asks of a queue and the role's answers, over a channel as in service. */
#include "queue/sign/asks.h"

#include "lib/base/base64.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/io/body_hash.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/sign.pb-c.h"
#include "lib/mail/dkim_signature.h"
#include "tests/support/settings_text.h"
#include "tests/support/signing_keys.h"
#include "tests/support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEARD_MAX = 200 };

struct heard {
    uint64_t id;
    Ipc__SignVerdict verdict;
    char *fields;
    char *reason;
};

static struct loop *loop;
static struct loop_timer *patience;
static struct keys *keys;
static struct asks *asks;
static struct channel *channel;       /* the queue's end */
static struct heard heard[HEARD_MAX]; /* the first ones, and the last */
static size_t heard_count, heard_wanted;
static bool is_closed, stops_at_trouble;

/* --- the queue's end ------------------------------------------------------------------------- */

static void on_frame(void *ctx, struct channel_frame *frame)
{
    Ipc__SignAnswer *answer = channel_decode(frame, &ipc__sign_answer__descriptor);
    struct heard *h = &heard[heard_count < HEARD_MAX ? heard_count : HEARD_MAX - 1];

    (void)ctx;
    assert_non_null(answer);
    heard_count++;
    free(h->fields);
    free(h->reason);
    *h = (struct heard){ answer->id, answer->verdict,
                         memory_copy_span(span_of_bytes(answer->fields)),
                         memory_copy_span(span_of_bytes(answer->reason)) };
    ipc__sign_answer__free_unpacked(answer, NULL);
    if (heard_count == heard_wanted ||
        (stops_at_trouble && h->verdict == IPC__SIGN_VERDICT__SIGN_TROUBLE))
        loop_stop(loop);
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)ctx;
    (void)err;
    is_closed = true;
    channel_free(&channel);
    loop_stop(loop);
}

static const struct channel_events channel_events = { on_frame, on_closed };

static void join(void)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    asks_attach(asks, fds[0]);
    channel = channel_open(loop, fds[1], &channel_events, NULL);
}

static void on_patience(void *ctx)
{
    (void)ctx;
    loop_stop(loop);
}

/* Lets the loop run until at least so many answers have come, or the channel has ended. */
static void hear(size_t wanted)
{
    heard_wanted = wanted;
    loop_timer_start(patience, 20 * SECOND_MS);
    if (heard_count < wanted && !is_closed)
        loop_run(loop);
    loop_timer_cancel(patience);
    if (!is_closed)
        assert_true(heard_count >= wanted);
}

static void forget_heard(void)
{
    for (size_t i = 0; i < HEARD_MAX; i++) {
        free(heard[i].fields);
        free(heard[i].reason);
        heard[i] = (struct heard){ 0 };
    }
    heard_count = 0;
}

/* --- keys ------------------------------------------------------------------------------------ */

/* What stands in a "file", by the name that an entry has for it. */
static const struct {
    const char *path, *pem;
} files[] = {
    { "/ed", KEY_ED25519 },
    { "/rsa", KEY_RSA_2048 },
    { "/short", KEY_RSA_1024 },
    { "/broken", KEY_RSA_BROKEN },
};

struct key_source {
    struct settings *settings;
    unsigned faults;
};

static const char *pem_at(const char *path)
{
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (strcmp(files[i].path, path) == 0)
            return files[i].pem;
    return NULL;
}

static struct span pem_of(void *ctx, unsigned entry)
{
    const struct key_source *source = ctx;
    const char *pem = pem_at(source->settings->dkim[entry].key);

    return pem ? span_of(pem) : (struct span){ NULL, 0 };
}

static void on_fault(void *ctx, const struct dkim_settings *entry, const struct error *err)
{
    struct key_source *source = ctx;

    (void)entry;
    assert_non_null(err);
    source->faults++;
}

static struct keys *keys_of(const char *text, unsigned faults)
{
    struct key_source source = { .settings = settings_of(text) };
    struct keys *made = keys_new(source.settings, pem_of, on_fault, &source);

    free(source.settings);
    assert_int_equal(source.faults, faults);
    return made;
}

static void use_with_faults(const char *text, unsigned faults)
{
    struct keys *fresh = keys_of(text, faults);

    asks_use(asks, fresh);
    keys_release(&keys);
    keys = fresh;
}

static void use(const char *text)
{
    use_with_faults(text, 0);
}

#define ED "dkim = ( { senders = \"example.net\"; selector = \"e\"; key = \"/ed\"; } );"
#define RSA "dkim = ( { senders = \"example.net\"; selector = \"r\"; key = \"/rsa\"; } );"
#define BOTH                                                                                       \
    "dkim = ( { senders = \"example.net\"; selector = \"r\"; key = \"/rsa\"; },"                   \
    " { senders = \"example.net\"; selector = \"e\"; key = \"/ed\"; } );"

static int set_up(void **state)
{
    (void)state;
    is_closed = stops_at_trouble = false;
    log_open(open("/dev/null", O_WRONLY | O_CLOEXEC), LOG_ERROR, "sign");
    loop = loop_new();
    patience = loop_timer_new(loop, on_patience, NULL);
    keys = keys_of("", 0);
    asks = asks_new(loop, keys, SIGN_WAIT_MS);
    join();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    channel_free(&channel);
    asks_free(&asks);
    keys_release(&keys);
    forget_heard();
    loop_timer_free(&patience);
    loop_free(&loop);
    return 0;
}

/* --- asking ---------------------------------------------------------------------------------- */

#define FROM "From: Ada <ada@example.net>\r\n"
#define HEADER "Received: by us\r\n" FROM "To: bob@example.org\r\nSubject: one\r\n two\r\n\r\n"
#define BODY "Hello  you \r\n\tend\r\n\r\n\r\n"

static Ipc__SignAsk ask_of(uint64_t id, struct body_hashes *hashes)
{
    Ipc__SignAsk ask = IPC__SIGN_ASK__INIT;

    body_hash_of(SPAN("\r\n" BODY), true, true, hashes);
    ask.id = id;
    ask.body_sha256_relaxed = (ProtobufCBinaryData){ DKIM_SHA256_SIZE, hashes->relaxed };
    ask.body_sha256_simple = (ProtobufCBinaryData){ DKIM_SHA256_SIZE, hashes->simple };
    return ask;
}

static void ask(uint64_t id, const char *header)
{
    struct body_hashes hashes;
    Ipc__SignAsk message = ask_of(id, &hashes);

    channel_send(channel, FRAME_SIGN_ASK, &message.base, span_of(header));
}

/* What comes of one ask; lent until the next one. */
static const struct heard *answer_to(const char *header)
{
    forget_heard();
    ask(7, header);
    hear(1);
    assert_false(is_closed);
    assert_int_equal(heard_count, 1);
    assert_int_equal(heard[0].id, 7);
    return &heard[0];
}

static void assert_unsigned(const char *header, Ipc__SignVerdict verdict, const char *reason)
{
    const struct heard *h = answer_to(header);

    assert_int_equal(h->verdict, verdict);
    assert_string_equal(h->reason, reason);
    assert_string_equal(h->fields, "");
}

/* --- judging signatures ---------------------------------------------------------------------- */

/* Cuts the first whole field from what was answered. */
static struct span cut_field(struct span *rest)
{
    size_t end = 0;

    do {
        end += span_find(span_from(*rest, end), '\n') + 1;
        assert_true(end <= rest->len);
    } while (end < rest->len && rest->data[end] == ' ');
    struct span field = span_first(*rest, end);
    *rest = span_from(*rest, end);
    return field;
}

/* b= without folds. */
static void read_signature(struct span text, struct buf *out)
{
    struct buf flat;

    buf_init(&flat, 4096);
    for (size_t i = 0; i < text.len; i++)
        if (!strchr("\r\n ", text.data[i]))
            assert_true(buf_append(&flat, (struct span){ text.data + i, 1 }));
    assert_true(base64_decode(buf_span(&flat), out));
    buf_clear(&flat);
}

static bool is_good(struct span field, const char *header, const char *pem, enum dkim_canon canon)
{
    const char *at = memmem(field.data, field.len, "\r\n b=", 5);
    struct signing_key *key = NULL;
    struct buf input, signature;

    assert_non_null(at);
    size_t opened = (size_t)(at - field.data) + 5;
    buf_init(&input, DKIM_INPUT_MAX);
    buf_init(&signature, DKIM_SIGNATURE_MAX);
    read_signature(span_from(field, opened), &signature);
    assert_true(dkim_signature_input(span_of(header), span_first(field, opened), canon, &input));
    assert_null(signing_key_load(span_of(pem), true, &key));
    bool good = signing_key_verify(key, buf_span(&input), buf_span(&signature));
    signing_key_free(&key);
    buf_clear(&signature);
    buf_clear(&input);
    return good;
}

static bool holds(struct span field, const char *part)
{
    return memmem(field.data, field.len, part, strlen(part)) != NULL;
}

/* The number behind a tag such as "t=". */
static int64_t number_in(struct span field, const char *tag)
{
    const char *at = memmem(field.data, field.len, tag, strlen(tag));

    assert_non_null(at);
    return strtoll(at + strlen(tag), NULL, 10);
}

/* --- what is signed -------------------------------------------------------------------------- */

static void ed25519_signs(void **state)
{
    (void)state;
    use(ED);
    const struct heard *h = answer_to(HEADER);
    struct span rest = span_of(h->fields);
    struct span field = cut_field(&rest);
    assert_int_equal(h->verdict, IPC__SIGN_VERDICT__SIGNED);
    assert_int_equal(rest.len, 0);
    assert_true(span_starts_with(field, SPAN("DKIM-Signature: v=1; a=ed25519-sha256;")));
    assert_true(holds(field, "c=relaxed/relaxed;"));
    assert_true(holds(field, " d=example.net;"));
    assert_true(holds(field, " s=e;"));
    assert_true(holds(field, "bh=4xUtdIvD5a1vPqpApyATaUWHudJoNRcf/3VvQrqlJl0=;"));
    assert_true(is_good(field, HEADER, KEY_ED25519, DKIM_RELAXED));
    assert_false(is_good(field, "From: eve@example.net\r\n\r\n", KEY_ED25519, DKIM_RELAXED));
}

static void rsa_signs_in_threads(void **state)
{
    (void)state;
    use("dkim = ( { senders = \"*\"; domain = \"sub.example.net\"; selector = \"r.x\"; "
        "key = \"/rsa\"; canonicalization = \"simple/simple\"; } );");
    const struct heard *h = answer_to(HEADER);
    struct span rest = span_of(h->fields);
    struct span field = cut_field(&rest);
    assert_int_equal(h->verdict, IPC__SIGN_VERDICT__SIGNED);
    assert_true(holds(field, "a=rsa-sha256;"));
    assert_true(holds(field, "c=simple/simple;"));
    assert_true(holds(field, " d=sub.example.net;"));
    assert_true(holds(field, " s=r.x;"));
    assert_true(holds(field, "bh=TiPiLHZx1D/LCoIPzcAe3onY3tppMwHfW4uaocB/Pzs=;"));
    assert_true(is_good(field, HEADER, KEY_RSA_2048, DKIM_SIMPLE));
}

static void all_keys_of_a_domain_sign(void **state)
{
    (void)state;
    use(BOTH);
    const struct heard *h = answer_to(HEADER);
    struct span rest = span_of(h->fields);
    struct span first = cut_field(&rest), second = cut_field(&rest);
    assert_int_equal(h->verdict, IPC__SIGN_VERDICT__SIGNED);
    assert_int_equal(rest.len, 0);
    assert_true(is_good(first, HEADER, KEY_RSA_2048, DKIM_RELAXED));
    assert_true(is_good(second, HEADER, KEY_ED25519, DKIM_RELAXED));
}

static void a_signature_outlives_the_message(void **state)
{
    (void)state;
    int64_t now_s = clock_utc_ms() / SECOND_MS;
    use(ED);
    struct span field = span_of(answer_to(HEADER)->fields);
    assert_in_range(number_in(field, " t="), now_s, now_s + 60);
    assert_int_equal(number_in(field, " x=") - number_in(field, " t="), 14 * 86400);
    use("queue-lifetime = \"10d\"; " ED);
    field = span_of(answer_to(HEADER)->fields);
    assert_int_equal(number_in(field, " x=") - number_in(field, " t="), 17 * 86400);
    use("routes = ( { name = \"slow\"; next-hop = \"mx\"; queue-lifetime = \"30d\"; } ); " ED);
    field = span_of(answer_to(HEADER)->fields);
    assert_int_equal(number_in(field, " x=") - number_in(field, " t="), 37 * 86400);
}

static void many_asks_are_answered_each_once(void **state)
{
    bool seen[HEARD_MAX] = { false };

    (void)state;
    use(BOTH);
    for (uint64_t id = 0; id < HEARD_MAX; id++)
        ask(id, HEADER);
    hear(HEARD_MAX);
    assert_int_equal(heard_count, HEARD_MAX);
    for (size_t i = 0; i < heard_count; i++) {
        assert_in_range(heard[i].id, 0, HEARD_MAX - 1);
        assert_false(seen[heard[i].id]);
        seen[heard[i].id] = true;
        assert_int_equal(heard[i].verdict, IPC__SIGN_VERDICT__SIGNED);
    }
    assert_int_equal(asks_counts(asks)->signed_messages, HEARD_MAX);
}

static void a_long_header_comes_in_the_message(void **state)
{
    struct body_hashes hashes;
    Ipc__SignAsk message = ask_of(1, &hashes);
    struct buf header;

    (void)state;
    use(ED);
    buf_init(&header, SIGN_HEADER_MAX);
    while (buf_len(&header) < HEADER_BYTES_MAX)
        assert_true(buf_printf(&header, "X-Trace: %060d\r\n", 1));
    assert_true(buf_append(&header, SPAN(HEADER)));
    message.header = bytes_of_span(buf_span(&header));
    channel_send(channel, FRAME_SIGN_ASK, &message.base, SPAN(""));
    hear(1);
    assert_int_equal(heard[0].verdict, IPC__SIGN_VERDICT__SIGNED);
    assert_true(is_good(span_of(heard[0].fields), HEADER, KEY_ED25519, DKIM_RELAXED));
    buf_clear(&header);
}

/* --- what is not ----------------------------------------------------------------------------- */

static void mail_of_others_is_not_signed(void **state)
{
    (void)state;
    use(ED);
    assert_unsigned("From: a@example.org\r\n\r\n", IPC__SIGN_VERDICT__NO_KEY,
                    "no entry of dkim is for its author");
    assert_unsigned("To: a@example.org\r\n\r\n", IPC__SIGN_VERDICT__UNSIGNABLE,
                    "the message has no From field");
    assert_unsigned("From: a@example.net, b@example.net\r\n\r\n", IPC__SIGN_VERDICT__UNSIGNABLE,
                    "its From field names several authors");
    assert_int_equal(asks_counts(asks)->without_key, 1);
    assert_int_equal(asks_counts(asks)->unsignable, 2);
    assert_int_equal(asks_counts(asks)->signed_messages, 0);
}

#define SIGNED_BY(domain) "DKIM-Signature: v=1; d=" domain "; s=x; h=from; bh=; b=\r\n"

static void what_a_domain_has_signed_is_left_alone(void **state)
{
    (void)state;
    use(BOTH);
    assert_unsigned(SIGNED_BY("Example.NET") HEADER, IPC__SIGN_VERDICT__SIGNED_ALREADY,
                    "it came with a signature of that domain");
    assert_int_equal(asks_counts(asks)->signed_already, 1);
    assert_int_equal(answer_to(SIGNED_BY("example.org") HEADER)->verdict,
                     IPC__SIGN_VERDICT__SIGNED);
    assert_int_equal(answer_to(SIGNED_BY("sub.example.net") HEADER)->verdict,
                     IPC__SIGN_VERDICT__SIGNED);
}

static void unless_told_otherwise(void **state)
{
    (void)state;
    use("dkim = ( { senders = \"example.net\"; selector = \"e\"; key = \"/ed\"; },"
        " { senders = \"example.net\"; selector = \"r\"; key = \"/rsa\"; sign-signed = \"on\"; } "
        ");");
    const struct heard *h = answer_to(SIGNED_BY("example.net") HEADER);
    struct span rest = span_of(h->fields);
    assert_int_equal(h->verdict, IPC__SIGN_VERDICT__SIGNED);
    assert_true(holds(cut_field(&rest), " s=r;"));
    assert_int_equal(rest.len, 0);
}

/* Mail that waited while the operator wrote another form: c= says which form was signed. */
static void a_body_is_signed_in_the_form_in_which_it_was_hashed(void **state)
{
    struct body_hashes hashes;
    Ipc__SignAsk message = ask_of(1, &hashes);

    (void)state;
    use("dkim = ( { senders = \"example.net\"; selector = \"e\"; key = \"/ed\"; },"
        " { senders = \"example.net\"; selector = \"r\"; key = \"/rsa\";"
        " canonicalization = \"relaxed/simple\"; } );");
    message.body_sha256_relaxed.len = 0;
    channel_send(channel, FRAME_SIGN_ASK, &message.base, SPAN(HEADER));
    message.id = 2;
    message.body_sha256_simple.len = 0;
    channel_send(channel, FRAME_SIGN_ASK, &message.base, SPAN(HEADER));
    hear(2);
    const struct heard *simple = &heard[heard[0].id == 1 ? 0 : 1];
    const struct heard *none = &heard[heard[0].id == 1 ? 1 : 0];
    struct span rest = span_of(simple->fields);
    assert_int_equal(simple->verdict, IPC__SIGN_VERDICT__SIGNED);
    for (const char *selector = "er"; *selector; selector++) {
        const char tag[] = { ' ', 's', '=', *selector, ';', '\0' };
        struct span field = cut_field(&rest);
        assert_true(holds(field, tag));
        assert_true(holds(field, "c=relaxed/simple;"));
    }
    assert_int_equal(rest.len, 0);
    assert_int_equal(none->verdict, IPC__SIGN_VERDICT__UNSIGNABLE);
    assert_string_equal(none->reason,
                        "its body was not hashed: it came before there was any dkim entry");
}

static void a_key_that_dns_cannot_name_does_not_sign(void **state)
{
    char header[512], selector[64], text[512];

    (void)state;
    memset(selector, 's', 63);
    selector[63] = '\0';
    snprintf(text, sizeof(text),
             "dkim = ( { senders = \"*\"; selector = \"%s\"; key = \"/ed\"; } );", selector);
    use(text);
    snprintf(header, sizeof(header), "From: a@%s.%s.%s.example\r\n\r\n", selector, selector,
             selector);
    assert_unsigned(header, IPC__SIGN_VERDICT__UNSIGNABLE,
                    "its domain is so long that DNS could not name the key");
}

static void a_header_that_cannot_be_signed_is_said_to_be_so(void **state)
{
    struct buf header;

    (void)state;
    use(BOTH);
    buf_init(&header, 64 * 1024);
    for (int i = 0; i < 40; i++)
        assert_true(buf_append(&header, SPAN("To: a@example.org\r\n")));
    assert_true(buf_append(&header, SPAN(HEADER "\0")));
    const struct heard *h = answer_to(buf_span(&header).data);
    assert_int_equal(h->verdict, IPC__SIGN_VERDICT__UNSIGNABLE);
    assert_string_not_equal(h->reason, "");
    buf_clear(&header);
}

/* --- trouble --------------------------------------------------------------------------------- */

static void a_key_that_cannot_be_used_is_trouble(void **state)
{
    static const char reason[] = "a key of its domain cannot be used; waxseal check says why";

    (void)state;
    use_with_faults("dkim = ( { senders = \"example.net\"; selector = \"e\"; key = \"/ed\"; },"
                    " { senders = \"example.net\"; selector = \"r\"; key = \"/missing\"; } );",
                    1);
    assert_unsigned(HEADER, IPC__SIGN_VERDICT__SIGN_TROUBLE, reason);
    assert_int_equal(asks_counts(asks)->trouble, 1);
    assert_string_equal(asks_counts(asks)->last_trouble, reason);
    assert_true(asks_counts(asks)->last_trouble_utc_ms > 0);
    use_with_faults(
        "dkim = ( { senders = \"example.net\"; selector = \"e\"; key = \"/broken\"; } );", 1);
    assert_unsigned(HEADER, IPC__SIGN_VERDICT__SIGN_TROUBLE, reason);
    use_with_faults(
        "dkim = ( { senders = \"example.net\"; selector = \"e\"; key = \"/short\"; } );", 1);
    assert_unsigned(HEADER, IPC__SIGN_VERDICT__SIGN_TROUBLE, reason);
    use("dkim = ( { senders = \"example.net\"; selector = \"e\"; key = \"/short\"; "
        "allow-short-key = \"on\"; } );");
    assert_int_equal(answer_to(HEADER)->verdict, IPC__SIGN_VERDICT__SIGNED);
}

static void what_takes_too_long_is_trouble(void **state)
{
    (void)state;
    asks_free(&asks);
    channel_free(&channel);
    asks = asks_new(loop, keys, 20);
    join();
    use(RSA);
    for (uint64_t id = 0; id < HEARD_MAX; id++)
        ask(id, HEADER);
    hear(HEARD_MAX);
    assert_true(asks_counts(asks)->trouble > 0);
    assert_int_equal(asks_counts(asks)->signed_messages + asks_counts(asks)->trouble, HEARD_MAX);
    assert_string_equal(asks_counts(asks)->last_trouble,
                        "there is more to sign than the machine can");
    use(ED);
    assert_int_equal(answer_to(HEADER)->verdict, IPC__SIGN_VERDICT__SIGNED);
}

/* Else a machine that is too slow once would sign nothing but what came too late, for ever. */
static void what_came_too_late_does_not_keep_the_signers_busy(void **state)
{
    enum { MANY = 3000 };

    (void)state;
    asks_free(&asks);
    channel_free(&channel);
    asks = asks_new(loop, keys, 300);
    join();
    use(RSA);
    for (uint64_t id = 0; id < MANY; id++)
        ask(id, HEADER);
    hear(MANY);
    assert_true(asks_counts(asks)->trouble > MANY / 2);
    assert_int_equal(answer_to(HEADER)->verdict, IPC__SIGN_VERDICT__SIGNED);
}

static void what_waits_is_bounded(void **state)
{
    (void)state;
    use(RSA);
    for (uint64_t id = 0; id < 2 * SIGN_OPEN_MAX; id++)
        ask(id, HEADER);
    stops_at_trouble = true;
    heard_wanted = 0;
    loop_timer_start(patience, 20 * SECOND_MS);
    loop_run(loop);
    assert_true(asks_counts(asks)->trouble > 0);
    assert_string_equal(asks_counts(asks)->last_trouble, "too much waits to be signed");
}

static void new_keys_do_not_disturb_what_is_being_signed(void **state)
{
    (void)state;
    use(RSA);
    for (uint64_t id = 0; id < 50; id++)
        ask(id, HEADER);
    hear(1);
    use(ED);
    ask(50, HEADER);
    hear(51);
    for (size_t i = 0; i < heard_count; i++) {
        struct span field = span_of(heard[i].fields);
        assert_true(holds(field, heard[i].id == 50 ? " s=e;" : " s=r;"));
        assert_true(
            is_good(field, HEADER, heard[i].id == 50 ? KEY_ED25519 : KEY_RSA_2048, DKIM_RELAXED));
    }
}

static void a_queue_that_goes_leaves_nothing_behind(void **state)
{
    (void)state;
    use(BOTH);
    for (uint64_t id = 0; id < 50; id++)
        ask(id, HEADER);
    hear(1);
    channel_free(&channel);
    join();
    forget_heard();
    ask(99, HEADER);
    hear(1);
    assert_int_equal(heard_count, 1);
    assert_int_equal(heard[0].id, 99);
    assert_int_equal(heard[0].verdict, IPC__SIGN_VERDICT__SIGNED);
}

static void the_role_may_end_in_the_middle(void **state)
{
    (void)state;
    use(RSA);
    for (uint64_t id = 0; id < 20; id++)
        ask(id, HEADER);
    hear(1);
    /* tear_down frees it while signers have work */
}

/* --- a queue in a stranger's hand ------------------------------------------------------------ */

static void assert_ends_the_channel(enum frame_type type, Ipc__SignAsk *message, struct span body)
{
    channel_send(channel, type, &message->base, body);
    hear(1);
    assert_true(is_closed);
    assert_int_equal(heard_count, 0);
    is_closed = false;
    join();
}

static void what_breaks_the_protocol_ends_the_channel(void **state)
{
    static char large[FRAME_MESSAGE_MAX / 2];
    struct body_hashes hashes;
    Ipc__SignAsk message = ask_of(1, &hashes);

    (void)state;
    use(ED);
    assert_ends_the_channel(FRAME_SIGN_ANSWER, &message, SPAN(HEADER));
    message.body_sha256_relaxed.len = 31;
    assert_ends_the_channel(FRAME_SIGN_ASK, &message, SPAN(HEADER));
    message = ask_of(1, &hashes);
    message.body_sha256_simple.len = 1;
    assert_ends_the_channel(FRAME_SIGN_ASK, &message, SPAN(HEADER));
    message = ask_of(1, &hashes);
    message.header = bytes_of_span(SPAN(HEADER));
    assert_ends_the_channel(FRAME_SIGN_ASK, &message, SPAN(HEADER));
    message.header = bytes_of_span((struct span){ large, SIGN_HEADER_MAX + 1 });
    assert_ends_the_channel(FRAME_SIGN_ASK, &message, SPAN(""));
    ask(5, HEADER);
    hear(1);
    assert_int_equal(heard[0].verdict, IPC__SIGN_VERDICT__SIGNED);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, set_up, tear_down, NULL                                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("Ed25519 signs as the domain of the author (RFC 8463)", ed25519_signs),
        TEST("RSA signs in threads, as the domain that the entry names", rsa_signs_in_threads),
        TEST("all keys of a domain sign, each by itself", all_keys_of_a_domain_sign),
        TEST("a signature is good for a week longer than the message may wait, at least for two",
             a_signature_outlives_the_message),
        TEST("many asks are answered, each once", many_asks_are_answered_each_once),
        TEST("a header too long for a frame's body comes in the message",
             a_long_header_comes_in_the_message),
        TEST("mail of others, of nobody and of several is not signed",
             mail_of_others_is_not_signed),
        TEST("what a domain has signed is left alone", what_a_domain_has_signed_is_left_alone),
        TEST("unless an entry says sign-signed", unless_told_otherwise),
        TEST("a body is signed in the form in which it was hashed",
             a_body_is_signed_in_the_form_in_which_it_was_hashed),
        TEST("a key that DNS cannot name does not sign", a_key_that_dns_cannot_name_does_not_sign),
        TEST("a header that cannot be signed is said to be so",
             a_header_that_cannot_be_signed_is_said_to_be_so),
        TEST("when one key of a domain cannot be used none signs, and the message waits",
             a_key_that_cannot_be_used_is_trouble),
        TEST("what takes too long to sign is trouble, and others go on",
             what_takes_too_long_is_trouble),
        TEST("what came too late does not keep the signers from what is in time",
             what_came_too_late_does_not_keep_the_signers_busy),
        TEST("what waits to be signed is bounded", what_waits_is_bounded),
        TEST("new keys do not disturb what is being signed",
             new_keys_do_not_disturb_what_is_being_signed),
        TEST("a queue that goes leaves nothing behind", a_queue_that_goes_leaves_nothing_behind),
        TEST("the role may end in the middle of signing", the_role_may_end_in_the_middle),
        TEST("what breaks the protocol ends the channel",
             what_breaks_the_protocol_ends_the_channel),
    };
    return cmocka_run_group_tests_name("sign", tests, NULL, NULL);
}
