/* sign - how many messages a second the role sign signs, through its channel as the queue asks it.
 *
 *   sign [-k ed25519|rsa|both] [-p depth] [-s seconds]
 *
 * Keeps `depth` asks under way, of a message with a usual header.  Prints one JSON object: messages
 * a second, and the processor time of the role for each, threads included. */
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/sign.pb-c.h"
#include "queue/sign/asks.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RSA_BITS = 2048, MICROSECONDS = 1000000 };

static const char header[] =
    "Received: from app.internal (app.internal [10.1.2.3])\r\n"
    "\tby relay.example.net (waxseal) with ESMTPS id 15c307dc00\r\n"
    "\tfor <bob@example.org>; Sun, 22 Nov 2026 10:22:47 +0000\r\n"
    "From: Ada Lovelace <ada@example.net>\r\n"
    "To: Bob <bob@example.org>\r\n"
    "Subject: The invoice for November, and what comes next\r\n"
    "Date: Sun, 22 Nov 2026 10:22:47 +0000\r\n"
    "Message-ID: <20261122102247.4711@app.example.net>\r\n"
    "Reply-To: billing@example.net\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/alternative; boundary=\"0123456789abcdef\"\r\n"
    "List-Unsubscribe: <https://example.net/u/4711>\r\n"
    "\r\n";

static struct {
    const char *kind;
    unsigned depth;
    int64_t end_ms;
    uint64_t asked, answered;
    struct loop *loop;
    struct channel *channel;
} run = { .kind = "ed25519", .depth = 100 };

static void fail(const char *what)
{
    fprintf(stderr, "sign: %s\n", what);
    exit(1);
}

/* --- the role -------------------------------------------------------------------------------- */

static struct buf pems[2];

static void make_key(enum dkim_algorithm algorithm, struct buf *pem)
{
    struct signing_key *key = signing_key_generate(algorithm, RSA_BITS);

    buf_init(pem, SIGNING_KEY_PEM_MAX);
    if (!signing_key_write(key, pem))
        fail("a key is too long");
    signing_key_free(&key);
}

static struct span pem_of(void *ctx, unsigned entry)
{
    (void)ctx;
    return buf_span(&pems[entry]);
}

static const char *settings_text(void)
{
    make_key(strcmp(run.kind, "rsa") == 0 ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256, &pems[0]);
    if (strcmp(run.kind, "both") != 0)
        return "dkim = ( { senders = \"*\"; selector = \"a\"; key = \"/k\"; } );";
    make_key(DKIM_RSA_SHA256, &pems[1]);
    return "dkim = ( { senders = \"*\"; selector = \"a\"; key = \"/k\"; },"
           " { senders = \"*\"; selector = \"b\"; key = \"/l\"; } );";
}

static void serve(int fd)
{
    struct settings *settings = settings_new();
    struct settings_errors errors;
    struct loop *loop = loop_new();

    settings_errors_init(&errors);
    if (!settings_parse(span_of(settings_text()), "bench", settings, &errors))
        fail("settings");
    asks_attach(asks_new(loop, keys_new(settings, pem_of, NULL, NULL), SIGN_WAIT_MS), fd);
    loop_run(loop);
}

/* --- the queue ------------------------------------------------------------------------------- */

static void ask(void)
{
    static unsigned char hash[DKIM_SHA256_SIZE];
    Ipc__SignAsk message = IPC__SIGN_ASK__INIT;

    message.id = ++run.asked;
    message.body_sha256_relaxed = (ProtobufCBinaryData){ sizeof(hash), hash };
    channel_send(run.channel, FRAME_SIGN_ASK, &message.base, span_of(header));
}

static void on_frame(void *ctx, struct channel_frame *frame)
{
    Ipc__SignAnswer *answer = channel_decode(frame, &ipc__sign_answer__descriptor);

    (void)ctx;
    if (!answer || answer->verdict != IPC__SIGN_VERDICT__SIGNED)
        fail("a message was not signed");
    ipc__sign_answer__free_unpacked(answer, NULL);
    run.answered++;
    if (loop_now(run.loop) < run.end_ms)
        ask();
    else
        loop_stop(run.loop);
}

static void on_closed(void *ctx, const struct error *err)
{
    (void)ctx;
    (void)err;
    fail("the role went away");
}

static void keep_asking(int fd, int64_t seconds)
{
    static const struct channel_events events = { on_frame, on_closed };

    run.loop = loop_new();
    run.channel = channel_open(run.loop, fd, &events, NULL);
    run.end_ms = clock_monotonic_ms() + seconds * SECOND_MS;
    for (unsigned i = 0; i < run.depth; i++)
        ask();
    loop_run(run.loop);
}

static void read_options(int count, char **words, int64_t *seconds)
{
    int option;

    while ((option = getopt(count, words, "k:p:s:")) != -1) {
        if (option == 'k')
            run.kind = optarg;
        else if (option == 'p')
            run.depth = (unsigned)atoi(optarg);
        else if (option == 's')
            *seconds = atoi(optarg);
        else
            exit(2);
    }
}

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / MICROSECONDS;
}

int main(int count, char **words)
{
    int64_t seconds = 5, begun_ms;
    struct rusage used;
    int fds[2];
    pid_t role;

    read_options(count, words, &seconds);
    log_open(STDERR_FILENO, LOG_ERROR, "sign");
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0 || (role = fork()) < 0)
        fail("fork");
    if (role == 0) {
        close(fds[0]);
        serve(fds[1]);
    }
    close(fds[1]);
    begun_ms = clock_monotonic_ms();
    keep_asking(fds[0], seconds);
    kill(role, SIGKILL);
    waitpid(role, NULL, 0);
    getrusage(RUSAGE_CHILDREN, &used);
    double took = (double)(clock_monotonic_ms() - begun_ms) / SECOND_MS;
    double cpu = seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
    printf("{\"key\": \"%s\", \"messages_per_s\": %.0f, \"role_cpu_us_each\": %.1f}\n", run.kind,
           (double)run.answered / took, cpu * MICROSECONDS / (double)run.answered);
    return 0;
}
