/*
 * A captured queue's bytes to the role sign, and any header block in a proper ask: whatever they
 * are, each ask has one answer, and what is signed is signed well, as the domain of the author.
 */
#include "lib/base/base64.h"
#include "lib/base/log.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/sign.pb-c.h"
#include "lib/mail/dkim_signature.h"
#include "queue/sign/asks.h"
#include "queue/sign/author.h"
#include "tests/support/signing_keys.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char settings_text[] = "dkim = ( { senders = \"*\"; selector = \"a\"; key = \"/k\"; },"
                                    " { senders = \"*\"; selector = \"b\"; key = \"/k\"; "
                                    "canonicalization = \"simple/simple\"; } );";

static struct loop *loop;
static struct loop_timer *stop;
static struct asks *asks;
static struct signing_key *key;
static struct span asked; /* the header block of the proper ask */
static unsigned answers;

static void on_stop(void *ctx)
{
    (void)ctx;
    loop_stop(loop);
}

static void run(void)
{
    for (int turns = 0; turns < 4; turns++) {
        loop_timer_start(stop, 0);
        loop_run(loop);
    }
}

static struct span pem_of(void *ctx, unsigned entry)
{
    (void)ctx;
    (void)entry;
    return SPAN(KEY_ED25519);
}

static void begin(void)
{
    struct settings *s = settings_new();
    struct settings_errors errors;

    loop = loop_new();
    stop = loop_timer_new(loop, on_stop, NULL);
    log_open(open("/dev/null", O_WRONLY), LOG_ERROR, "fuzz");
    settings_errors_init(&errors);
    ensure(settings_parse(span_of(settings_text), "fuzz", s, &errors));
    struct keys *keys = keys_new(s, pem_of, NULL, NULL);
    asks = asks_new(loop, keys, SIGN_WAIT_MS);
    key = keys_entry(keys, 0)->key; /* the asks hold them */
    keys_release(&keys);
    settings_free(&s);
    settings_errors_clear(&errors);
}

/* --- any bytes ------------------------------------------------------------------------------- */

static void say_bytes(const uint8_t *data, size_t size)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0 ||
        write(fds[0], data, size) != (ssize_t)size || shutdown(fds[0], SHUT_WR) != 0)
        abort();
    asks_attach(asks, fds[1]);
    run();
    close(fds[0]);
}

/* --- any header ------------------------------------------------------------------------------ */

static void check_field(struct span field, enum dkim_canon canon)
{
    const char *at = memmem(field.data, field.len, "\r\n b=", 5);
    struct buf flat, signature, input;

    ensure(at);
    struct span opened = span_first(field, (size_t)(at - field.data) + 5);
    buf_init(&flat, 4096);
    buf_init(&signature, DKIM_SIGNATURE_MAX);
    buf_init(&input, DKIM_INPUT_MAX);
    for (size_t i = opened.len; i < field.len; i++)
        if (!strchr("\r\n ", field.data[i]))
            ensure(buf_append(&flat, (struct span){ field.data + i, 1 }));
    ensure(base64_decode(buf_span(&flat), &signature));
    ensure(dkim_signature_input(asked, opened, canon, &input));
    ensure(signing_key_verify(key, buf_span(&input), buf_span(&signature)));
    buf_clear(&flat);
    buf_clear(&signature);
    buf_clear(&input);
}

static void check_fields(struct span fields)
{
    const char *second = memmem(fields.data, fields.len, "\r\nDKIM-Signature:", 17);
    char author[DOMAIN_MAX + 1];

    ensure(second && !author_domain(asked, author));
    size_t len = (size_t)(second - fields.data) + 2;
    check_field(span_first(fields, len), DKIM_RELAXED);
    check_field(span_from(fields, len), DKIM_SIMPLE);
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    Ipc__SignAnswer *answer = channel_decode(frame, &ipc__sign_answer__descriptor);

    (void)ctx;
    ensure(answer && answer->id == 1);
    ensure((answer->verdict == IPC__SIGN_VERDICT__SIGNED) == (answer->reason.len == 0));
    if (answer->verdict == IPC__SIGN_VERDICT__SIGNED)
        check_fields(span_of_bytes(answer->fields));
    ipc__sign_answer__free_unpacked(answer, NULL);
    answers++;
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)ctx;
    (void)err;
    abort();
}

static void ask_properly(const uint8_t *data, size_t size)
{
    static const struct channel_events events = { on_frame, on_closed };
    static unsigned char hash[DKIM_SHA256_SIZE];
    Ipc__SignAsk message = IPC__SIGN_ASK__INIT;
    struct channel *channel;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        abort();
    asks_attach(asks, fds[1]);
    channel = channel_open(loop, fds[0], &events, NULL);
    message.id = 1;
    message.body_sha256_relaxed = (ProtobufCBinaryData){ sizeof(hash), hash };
    message.body_sha256_simple = message.body_sha256_relaxed;
    asked = (struct span){ (const char *)data, size };
    answers = 0;
    channel_send(channel, FRAME_SIGN_ASK, &message.base, asked);
    run();
    ensure(answers == 1);
    channel_free(&channel);
    run();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!loop)
        begin();
    if (size > 32768)
        return 0;
    say_bytes(data, size);
    ask_properly(data, size);
    return 0;
}
