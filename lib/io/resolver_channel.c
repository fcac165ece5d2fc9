#include "lib/io/resolver_channel.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"

enum {
    TRY_MS = 1500, /* and doubled for the second try */
    TRIES = 2,
    QUESTIONS_PER_CHANNEL = 8, /* all of a channel leave from one port: renew it against forgers */
    QUESTIONS_ON_LOOPBACK = 10000,
    TIMEOUTS_IN_A_ROW = 2, /* a dead TCP connection collects questions */
    HEADER_BYTES = 12,
    QUESTION_MAX = DOMAIN_MAX + 2 + 4,
};

struct channel_watch {
    struct list in_channel;
    struct resolver_channel *channel;
    struct loop_watch *watch;
    ares_socket_t fd;
};

struct resolver_channel {
    struct list retirees; /* its place among them */
    struct loop *loop;
    ares_channel ares;
    struct loop_timer *timer;
    struct loop_task ending;
    struct list watches;
    struct map *requests; /* by id */
    unsigned questions_left;
    unsigned timeouts_in_a_row;
    bool tcp;
    bool without_edns; /* the server's doing: c-ares never asks with it again */
    bool retired;
    bool destroying;
};

/* Outlives its asker: c-ares knows no way to take one question back. */
struct resolver_request {
    struct resolver_channel *channel;
    channel_replied_fn *replied; /* NULL: nobody asks any more */
    void *ctx;
    uint16_t id;
    bool sending; /* within ares_send */
    bool ended;   /* while sending */
    unsigned char question[QUESTION_MAX];
    size_t question_len;
};

/* ---- sockets and time --------------------------------------------------------------------- */

static void rearm(struct resolver_channel *channel)
{
    struct timeval wait;
    if (!ares_timeout(channel->ares, NULL, &wait)) {
        loop_timer_cancel(channel->timer);
        return;
    }
    loop_timer_start(channel->timer, (int64_t)wait.tv_sec * 1000 + (wait.tv_usec + 999) / 1000);
}

static void on_time(void *ctx)
{
    struct resolver_channel *channel = ctx;
    ares_process_fd(channel->ares, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    rearm(channel);
}

/* The watch may be gone when ares_process_fd returns, the channel never. */
static void on_socket(void *ctx, bool readable, bool writable)
{
    struct channel_watch *watch = ctx;
    struct resolver_channel *channel = watch->channel;
    ares_socket_t fd = watch->fd;
    ares_process_fd(channel->ares, readable ? fd : ARES_SOCKET_BAD,
                    writable ? fd : ARES_SOCKET_BAD);
    rearm(channel);
}

static struct channel_watch *watch_of(struct resolver_channel *channel, ares_socket_t fd)
{
    struct channel_watch *watch;
    LIST_EACH(watch, &channel->watches, struct channel_watch, in_channel)
    {
        if (watch->fd == fd)
            return watch;
    }
    return NULL;
}

static void watch_free(struct channel_watch *watch)
{
    list_remove(&watch->in_channel);
    loop_watch_free(&watch->watch);
    free(watch);
}

static struct channel_watch *watch_new(struct resolver_channel *channel, ares_socket_t fd)
{
    struct channel_watch *watch = memory_new(sizeof(*watch));
    watch->channel = channel;
    watch->fd = fd;
    watch->watch = loop_watch_new(channel->loop, fd, on_socket, watch);
    list_append(&channel->watches, &watch->in_channel);
    return watch;
}

/* With neither direction wanted the descriptor is closed as soon as this returns. */
static void on_socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct resolver_channel *channel = ctx;
    struct channel_watch *watch = watch_of(channel, fd);
    if (!readable && !writable) {
        if (watch)
            watch_free(watch);
        return;
    }
    if (!watch)
        watch = watch_new(channel, fd);
    loop_watch_want(watch->watch, readable, writable);
}

/* ---- a channel's life --------------------------------------------------------------------- */

static void destroy(struct resolver_channel *channel)
{
    channel->destroying = true;
    list_remove(&channel->retirees);
    loop_task_cancel(&channel->ending);
    if (channel->ares)
        ares_destroy(channel->ares);
    loop_timer_free(&channel->timer);
    while (!list_empty(&channel->watches))
        watch_free(LIST_FIRST(&channel->watches, struct channel_watch, in_channel));
    map_free(&channel->requests);
    free(channel);
}

static void on_ending(void *ctx)
{
    destroy(ctx);
}

static void end_when_idle(struct resolver_channel *channel)
{
    if (channel->retired && !channel->destroying && map_count(channel->requests) == 0)
        loop_defer(channel->loop, &channel->ending);
}

static int open_ares(struct resolver_channel *channel, const struct endpoint *server)
{
    char lookups[] = "b"; /* DNS alone, no hosts file */
    char address[NETWORK_TEXT_SIZE];
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP | ARES_FLAG_EDNS |
                 (channel->tcp ? ARES_FLAG_USEVC : 0),
        .timeout = TRY_MS,
        .tries = TRIES,
        .ndots = 1,
        .lookups = lookups,
        .ednspsz = DNS_UDP_SIZE,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = channel,
    };
    int code = ares_init_options(&channel->ares, &options,
                                 ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                     ARES_OPT_NDOTS | ARES_OPT_LOOKUPS | ARES_OPT_DOMAINS |
                                     ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB);
    if (code != ARES_SUCCESS) {
        channel->ares = NULL;
        return code;
    }
    endpoint_format(server, address);
    return ares_set_servers_ports_csv(channel->ares, address);
}

struct error *resolver_channel_new(struct loop *loop, const struct endpoint *server, bool tcp,
                                   struct resolver_channel **out_channel)
{
    struct resolver_channel *channel = memory_new(sizeof(*channel));
    channel->loop = loop;
    channel->tcp = tcp;
    channel->timer = loop_timer_new(loop, on_time, channel);
    channel->requests = map_new();
    channel->questions_left =
        ip_address_is_loopback(&server->address) ? QUESTIONS_ON_LOOPBACK : QUESTIONS_PER_CHANNEL;
    list_init(&channel->retirees);
    list_init(&channel->watches);
    loop_task_init(&channel->ending, on_ending, channel);
    int code = open_ares(channel, server);
    if (code == ARES_SUCCESS) {
        *out_channel = channel;
        return NULL;
    }
    destroy(channel);
    return error_new(ERROR_LOCAL, "DNS channel: %s", ares_strerror(code));
}

void resolver_channel_retire(struct resolver_channel **channel, struct list *retirees)
{
    struct resolver_channel *c = *channel;
    *channel = NULL;
    if (!c)
        return;
    c->retired = true;
    list_append(retirees, &c->retirees);
    end_when_idle(c);
}

void resolver_channels_free(struct list *retirees)
{
    while (!list_empty(retirees))
        destroy(LIST_FIRST(retirees, struct resolver_channel, retirees));
}

void resolver_channel_free(struct resolver_channel **channel)
{
    struct resolver_channel *c = *channel;
    *channel = NULL;
    if (c)
        destroy(c);
}

bool channel_is_worn(const struct resolver_channel *channel)
{
    return channel->questions_left == 0 || channel->without_edns ||
           channel->timeouts_in_a_row >= TIMEOUTS_IN_A_ROW;
}

/* ---- a question --------------------------------------------------------------------------- */

static enum channel_reply reply_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return CHANNEL_REPLIED;
    case ARES_ETIMEOUT:
        return CHANNEL_TIMED_OUT;
    case ARES_ECONNREFUSED:
        return CHANNEL_REFUSED;
    default:
        return CHANNEL_FAILED;
    }
}

/* c-ares compares questions without regard to case; a forger who cannot see ours cannot copy it. */
static bool question_is_ours(const struct resolver_request *request, struct span reply)
{
    return reply.len >= HEADER_BYTES + request->question_len &&
           memcmp(reply.data + HEADER_BYTES, request->question, request->question_len) == 0;
}

/* No record in the additional section: our OPT was not answered. */
static bool lacks_edns(struct span reply)
{
    return reply.data[10] == 0 && reply.data[11] == 0;
}

static enum channel_reply judge(struct resolver_request *request, int status, struct span reply)
{
    struct resolver_channel *channel = request->channel;
    enum channel_reply how = reply_of(status);
    channel->timeouts_in_a_row = how == CHANNEL_TIMED_OUT ? channel->timeouts_in_a_row + 1 : 0;
    if (how != CHANNEL_REPLIED)
        return how;
    if (reply.len < HEADER_BYTES)
        return CHANNEL_FAILED;
    if (!question_is_ours(request, reply))
        return CHANNEL_MISMATCHED;
    channel->without_edns = channel->without_edns || lacks_edns(reply);
    return CHANNEL_REPLIED;
}

static void on_reply(void *ctx, int status, int timeouts, unsigned char *bytes, int len)
{
    struct resolver_request *request = ctx;
    struct resolver_channel *channel = request->channel;
    struct span reply = { (const char *)bytes, bytes && len > 0 ? (size_t)len : 0 };
    (void)timeouts;
    map_remove_number(channel->requests, request->id);
    if (!channel->destroying) {
        enum channel_reply how = judge(request, status, reply);
        end_when_idle(channel);
        if (request->replied)
            request->replied(request->ctx, how, reply);
    }
    if (request->sending)
        request->ended = true;
    else
        free(request);
}

static uint16_t new_id(struct resolver_channel *channel)
{
    uint16_t id;
    do
        random_bytes(&id, sizeof(id));
    while (map_get_number(channel->requests, id));
    return id;
}

/* Upper and lower case at random: so many bits more that a forger has to guess. */
static void mix_case(unsigned char *name, size_t len)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < len; i++) {
        if (i % 64 == 0)
            random_bytes(&bits, sizeof(bits));
        bool letter = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z');
        if (letter && (bits >> (i % 64) & 1))
            name[i] ^= 0x20;
    }
}

/* The question ends at the root label, four bytes of type and class behind it. */
static size_t question_length(const unsigned char *wire, size_t len)
{
    size_t at = HEADER_BYTES;
    while (at < len && wire[at] != 0)
        at += wire[at] + 1U;
    return at + 5 - HEADER_BYTES;
}

static bool build(struct resolver_request *request, const char *name, int type,
                  unsigned char **out_wire, int *out_len)
{
    unsigned char *wire;
    int len;
    if (ares_create_query(name, ns_c_in, type, request->id, 1, &wire, &len, DNS_UDP_SIZE))
        return false;
    request->question_len = question_length(wire, (size_t)len);
    ensure(request->question_len <= QUESTION_MAX);
    for (size_t at = HEADER_BYTES; wire[at] != 0; at += wire[at] + 1U)
        mix_case(wire + at + 1, wire[at]);
    memcpy(request->question, wire + HEADER_BYTES, request->question_len);
    wire[3] |= 0x20; /* AD: tell us whether the answer is authentic (RFC 6840 s.5.7) */
    *out_wire = wire;
    *out_len = len;
    return true;
}

static void send_wire(struct resolver_request *request, unsigned char *wire, int len)
{
    struct resolver_channel *channel = request->channel;
    map_put_number(channel->requests, request->id, request);
    channel->questions_left--;
    request->sending = true;
    ares_send(channel->ares, wire, len, on_reply, request);
    request->sending = false;
    ares_free_string(wire);
    rearm(channel);
}

struct resolver_request *resolver_channel_ask(struct resolver_channel *channel, const char *name,
                                              int type, channel_replied_fn *replied, void *ctx)
{
    struct resolver_request *request = memory_new(sizeof(*request));
    unsigned char *wire = NULL;
    int len = 0;
    request->channel = channel;
    request->id = new_id(channel);
    request->replied = replied;
    request->ctx = ctx;
    if (build(request, name, type, &wire, &len)) {
        send_wire(request, wire, len);
    } else {
        request->ended = true;
        replied(ctx, CHANNEL_FAILED, (struct span){ NULL, 0 });
    }
    if (!request->ended)
        return request;
    free(request);
    return NULL;
}

void resolver_channel_forget(struct resolver_request **request)
{
    if (*request)
        (*request)->replied = NULL;
    *request = NULL;
}
