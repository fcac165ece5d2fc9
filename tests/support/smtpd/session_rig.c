#include "tests/support/smtpd/session_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/log.h"

enum { PATIENCE_MS = 3000, SETTLE_MS = 20 };

static void on_patience(void *ctx)
{
    struct rig *rig = ctx;

    rig->timed_out = true;
    loop_stop(rig->loop);
}

static void on_heard(void *ctx, bool readable, bool writable)
{
    struct rig *rig = ctx;
    char room[65536];
    ssize_t len = read(rig->client_fd, room, sizeof(room));

    (void)readable;
    (void)writable;
    if (len > 0) {
        ensure(buf_append(&rig->heard, (struct span){ room, (size_t)len }));
    } else if (len == 0 || errno != EAGAIN) {
        rig->hung_up = true;
        loop_watch_want(rig->watch, false, false);
    }
    loop_stop(rig->loop);
}

static void on_ended(void *ctx, const struct ip_address *client)
{
    (void)ctx;
    (void)client;
}

static void on_queue_state(void *ctx)
{
    struct rig *rig = ctx;

    session_host_queue_changed(&rig->host);
}

/* Made once: a fuzz target asks for them ten thousand times. */
static struct settings default_settings(void)
{
    static struct settings settings;
    static bool is_made;

    if (!is_made)
        settings_defaults(&settings);
    is_made = true;
    return settings;
}

void rig_init(struct rig *rig)
{
    *rig = (struct rig){ .client_fd = -1 };
    rig->log_fd = memfd_create("log", MFD_CLOEXEC);
    ensure(rig->log_fd >= 0);
    log_open(rig->log_fd, LOG_DEBUG, "smtpd");
    signal(SIGPIPE, SIG_IGN);
    rig->settings = default_settings();
    snprintf(rig->settings.hostname, sizeof(rig->settings.hostname), "relay.example");
    snprintf(rig->settings.postmaster, sizeof(rig->settings.postmaster), "human@example.org");
    ensure(network_parse(SPAN("192.0.2.0/24"), &rig->settings.listeners[0].relay_from.items[0]));
    rig->settings.listeners[0].relay_from.count = 1;
    rig->place.settings = &rig->settings.listeners[0];
    rig->loop = loop_new();
    rig->patience = loop_timer_new(rig->loop, on_patience, rig);
    fake_queue_reset();
    rig->queue = queue_client_new(rig->loop, on_queue_state, rig);
    session_host_init(&rig->host, rig->loop, rig->queue, &rig->settings, on_ended, rig);
    buf_init(&rig->heard, 64 * 1024 * 1024);
}

static void hang_up(struct rig *rig)
{
    if (rig->client_fd < 0)
        return;
    loop_watch_free(&rig->watch);
    close(rig->client_fd);
    rig->client_fd = -1;
    buf_reset(&rig->heard);
    rig->hung_up = false;
}

void rig_open(struct rig *rig, const char *address)
{
    struct endpoint client = { .port = 4711 };
    int fds[2];

    hang_up(rig);
    ensure(ip_address_parse(span_of(address), &client.address));
    ensure(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    rig->client_fd = fds[1];
    rig->watch = loop_watch_new(rig->loop, rig->client_fd, on_heard, rig);
    loop_watch_want(rig->watch, true, false);
    session_open(&rig->host, &rig->place, fds[0], &client);
}

static void run_for(struct rig *rig, int64_t wait_ms)
{
    rig->timed_out = false;
    loop_timer_start(rig->patience, wait_ms);
    loop_run(rig->loop);
    loop_timer_cancel(rig->patience);
}

void rig_close(struct rig *rig)
{
    mailbox_set_free(&rig->place.recipients);
    session_host_clear(&rig->host);
    hang_up(rig);
    for (int i = 0; i < 3; i++)
        run_for(rig, 0); /* streams that linger see the end */
    queue_client_free(&rig->queue);
    loop_timer_free(&rig->patience);
    tls_context_free(&rig->place.tls);
    buf_clear(&rig->heard);
    buf_clear(&fake_queue.content);
    loop_free(&rig->loop);
    log_open(STDERR_FILENO, LOG_INFO, "test");
    close(rig->log_fd);
}

bool rig_has_logged(struct rig *rig, const char *text)
{
    static char kept[1 << 20];

    log_flush();
    ssize_t len = pread(rig->log_fd, kept, sizeof(kept) - 1, 0);
    kept[len > 0 ? len : 0] = '\0';
    return strstr(kept, text) != NULL;
}

void rig_say_bytes(struct rig *rig, struct span bytes)
{
    while (bytes.len > 0 && !rig->hung_up) {
        ssize_t len = send(rig->client_fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (len > 0)
            bytes = span_from(bytes, (size_t)len);
        else if (errno != EAGAIN)
            return;
        else
            run_for(rig, 1);
    }
}

void rig_say(struct rig *rig, const char *text)
{
    rig_say_bytes(rig, span_of(text));
}

const char *rig_hear(struct rig *rig)
{
    for (;;) {
        struct span heard = buf_span(&rig->heard);
        size_t len = span_find(heard, '\n');
        if (len < heard.len && len > 0 && len < sizeof(rig->line)) {
            memcpy(rig->line, heard.data, len - 1);
            rig->line[len - 1] = '\0';
            buf_consume(&rig->heard, len + 1);
            return rig->line;
        }
        if (rig->hung_up)
            return NULL;
        run_for(rig, PATIENCE_MS);
        if (rig->timed_out)
            return NULL;
    }
}

bool rig_is_closed(struct rig *rig)
{
    return rig_hear(rig) == NULL && rig->hung_up;
}

void rig_settle(struct rig *rig)
{
    do
        run_for(rig, SETTLE_MS);
    while (!rig->timed_out);
}
