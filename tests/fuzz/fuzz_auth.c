/*
 * A captured smtpd's bytes to the auth role, and a captured auth role's to smtpd: whatever they
 * say, nobody logs in without the password, each exchange is answered once at most per turn, and a
 * client whose turn it is hears nothing.
 */
#include "lib/base/log.h"
#include "lib/ipc/auth_client.h"
#include "smtpd/auth/exchanges.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* "ada" and a password that no input holds */
static const char users_text[] =
    "ada:$6$rounds=1000$saltsaltsalt$eX3bxJXT3.ujpABOqZ7ph4r9D9Fn0.qoDqJgZU6cTq8xPfk2."
    "Fmq2bf1GgjAlb6X1QXE7sMOtwZRTxjI1OZvT1\n";

static struct loop *loop;
static struct loop_timer *stop;
static struct exchanges *role;
static int far_end;

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

static void begin(void)
{
    struct settings_errors errors;
    struct users *users = NULL;

    loop = loop_new();
    stop = loop_timer_new(loop, on_stop, NULL);
    log_open(open("/dev/null", O_WRONLY), LOG_ERROR, "fuzz");
    role = exchanges_new(loop);
    settings_errors_init(&errors);
    ensure(users_parse(span_of(users_text), "users", &errors, &users));
    exchanges_use(role, &users);
    settings_errors_clear(&errors);
}

static int end_that_says(const uint8_t *data, size_t size)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0 ||
        write(fds[0], data, size) != (ssize_t)size || shutdown(fds[0], SHUT_WR) != 0)
        abort();
    far_end = fds[0];
    return fds[1];
}

static void tell_the_role(const uint8_t *data, size_t size)
{
    exchanges_attach(role, end_that_says(data, size));
    run();
    run(); /* the channel has ended, and what it began */
    close(far_end);
}

struct turn {
    struct auth_exchange *exchange; /* NULL: it has ended */
    bool is_asked;
};

static void on_answer(void *ctx, const Ipc__AuthAnswer *answer)
{
    struct turn *turn = ctx;

    if (!turn->exchange || !turn->is_asked)
        abort();
    turn->is_asked = false;
    if (answer->verdict != IPC__AUTH_VERDICT__CHALLENGE)
        turn->exchange = NULL;
}

static void tell_smtpd(const uint8_t *data, size_t size)
{
    struct auth_client *client = auth_client_new(loop);
    const struct auth_start start = { .mechanism = AUTH_LOGIN, .client = "192.0.2.1" };
    struct turn turns[3] = { { .is_asked = true }, { .is_asked = true }, { .is_asked = true } };

    auth_client_attach(client, end_that_says(data, size));
    for (int i = 0; i < 3; i++)
        turns[i].exchange = auth_begin(client, &start, on_answer, &turns[i]);
    run();
    if (auth_client_mechanisms(client) >= 1U << AUTH_EXTERNAL)
        abort();
    if (turns[0].exchange && !turns[0].is_asked) {
        turns[0].is_asked = true;
        auth_respond(turns[0].exchange, SPAN("x"));
        run();
    }
    if (turns[1].exchange)
        auth_cancel(&turns[1].exchange);
    auth_client_free(&client);
    close(far_end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!loop)
        begin();
    if (size > 32768)
        return 0;
    tell_the_role(data, size);
    tell_smtpd(data, size);
    return 0;
}
