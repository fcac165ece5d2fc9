#include "lib/io/resolver.h"

#include <ares.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/memory.h"
#include "lib/io/resolver_channel.h"

enum {
    ROUNDS_MAX = 4,                /* times that every server is asked */
    PROOF_ROUNDS_MAX = 2,          /* the one that a proof is about */
    DOWN_FIRST_MS = 1 * SECOND_MS, /* a server that failed is asked last for so long, then longer */
    DOWN_MAX_MS = 30 * SECOND_MS,
    RCODE_SERVFAIL = 2,
    RCODE_NXDOMAIN = 3,
    FLAG_AD = 0x20, /* in the octet of the rcode */
};

struct server {
    struct endpoint endpoint;
    struct resolver_channel *udp;
    struct resolver_channel *tcp;
    unsigned failures; /* in a row */
    int64_t down_until;
    bool is_doubted; /* to validate, though others do */
};

struct resolver {
    struct loop *loop;
    struct server servers[SETTINGS_RESOLVERS_MAX];
    unsigned server_count;
    unsigned generation; /* of the servers */
    bool trusted;
    enum resolver_standing standing;
    resolver_proof_wanted_fn *proof_wanted;
    void *proof_ctx;
    struct list queries;
    struct list retirees; /* channels that end what they have under way */
};

struct resolver_query {
    struct list in_resolver;
    struct resolver *resolver;
    struct loop_task step; /* asks the next server, or gives the answer */
    struct loop_timer *deadline;
    struct resolver_request *request;
    resolver_done_fn *done;
    void *ctx;
    char name[DOMAIN_MAX + 2];
    enum dns_type type;
    bool is_proof;     /* of the servers' validation */
    bool was_in_doubt; /* its answer, which came without a proof */
    bool answered;
    struct dns_answer answer;
    /* whom to ask */
    unsigned generation;
    unsigned asked; /* servers of this round, as bits */
    unsigned rounds;
    unsigned server; /* being asked */
    bool ad_counts;  /* in its answer */
    bool by_tcp;
    char reason[80]; /* of the last failure */
};

static void query_step(void *ctx);

/* ---- servers ------------------------------------------------------------------------------ */

static void servers_retire(struct resolver *resolver)
{
    for (unsigned i = 0; i < resolver->server_count; i++) {
        resolver_channel_retire(&resolver->servers[i].udp, &resolver->retirees);
        resolver_channel_retire(&resolver->servers[i].tcp, &resolver->retirees);
    }
}

static void servers_set(struct resolver *resolver, const struct endpoint *servers, unsigned count,
                        bool trusted)
{
    memset(resolver->servers, 0, sizeof(resolver->servers));
    for (unsigned i = 0; i < count; i++)
        resolver->servers[i].endpoint = servers[i];
    resolver->server_count = count;
    resolver->trusted = trusted;
    resolver->standing = RESOLVER_UNPROVEN;
    resolver->generation++;
}

static struct error *check_count(unsigned count)
{
    if (count == 0 || count > SETTINGS_RESOLVERS_MAX)
        return error_new(ERROR_LOCAL, "resolver: %u servers; 1 to %u would be right", count,
                         SETTINGS_RESOLVERS_MAX);
    return NULL;
}

struct error *resolver_new(struct loop *loop, const struct endpoint *servers, unsigned server_count,
                           bool trusted, struct resolver **out_resolver)
{
    struct error *err = check_count(server_count);
    if (err)
        return err;
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        return error_new(ERROR_LOCAL, "resolver: c-ares does not start");
    struct resolver *resolver = memory_new(sizeof(*resolver));
    resolver->loop = loop;
    list_init(&resolver->queries);
    list_init(&resolver->retirees);
    servers_set(resolver, servers, server_count, trusted);
    *out_resolver = resolver;
    return NULL;
}

struct error *resolver_servers(struct resolver *resolver, const struct endpoint *servers,
                               unsigned server_count, bool trusted)
{
    struct error *err = check_count(server_count);
    if (err)
        return err;
    servers_retire(resolver);
    servers_set(resolver, servers, server_count, trusted);
    resolver_set_standing(resolver, RESOLVER_UNPROVEN);
    return NULL;
}

static void server_failed(struct resolver *resolver, struct server *server)
{
    unsigned shift = server->failures < 5 ? server->failures : 5;
    int64_t wait = (int64_t)DOWN_FIRST_MS << shift;
    server->failures++;
    server->down_until = loop_now(resolver->loop) + (wait < DOWN_MAX_MS ? wait : DOWN_MAX_MS);
}

static void server_answered(struct server *server)
{
    server->failures = 0;
    server->down_until = 0;
}

/* The first server in order that is well and not yet asked; then the one that is down least long.
 */
static bool choose_server(const struct resolver *resolver, unsigned asked, unsigned *out_index)
{
    int64_t now = loop_now(resolver->loop);
    int64_t best = INT64_MAX;
    for (unsigned i = 0; i < resolver->server_count; i++) {
        int64_t down = resolver->servers[i].down_until > now ? resolver->servers[i].down_until : 0;
        if ((asked & 1U << i) || down >= best)
            continue;
        best = down;
        *out_index = i;
    }
    return best != INT64_MAX;
}

/* The server's channel of that kind, a new one where there is none or the old one is worn. */
static struct error *channel_of(struct resolver *resolver, struct server *server, bool tcp,
                                struct resolver_channel **out_channel)
{
    struct resolver_channel **channel = tcp ? &server->tcp : &server->udp;
    struct error *err = NULL;
    if (*channel && channel_is_worn(*channel))
        resolver_channel_retire(channel, &resolver->retirees);
    if (!*channel)
        err = resolver_channel_new(resolver->loop, &server->endpoint, tcp, channel);
    if (!err)
        *out_channel = *channel;
    return err;
}

/* ---- the life of a query ------------------------------------------------------------------ */

static void query_free(struct resolver_query *query)
{
    resolver_channel_forget(&query->request);
    loop_task_cancel(&query->step);
    loop_timer_free(&query->deadline);
    list_remove(&query->in_resolver);
    if (query->answered)
        dns_answer_clear(&query->answer);
    free(query);
}

static void query_step_soon(struct resolver_query *query)
{
    loop_defer(query->resolver->loop, &query->step);
}

static void query_end(struct resolver_query *query, enum dns_outcome outcome, const char *reason)
{
    resolver_channel_forget(&query->request);
    dns_answer_none(&query->answer, outcome, reason);
    query->answered = true;
    query_step_soon(query);
}

static void on_deadline(void *ctx)
{
    struct resolver_query *query = ctx;
    if (!query->answered)
        query_end(query, DNS_TEMPFAIL, query->reason[0] ? query->reason : "timed out");
}

static struct resolver_query *query_new(struct resolver *resolver, enum dns_type type,
                                        resolver_done_fn *done, void *ctx)
{
    struct resolver_query *query = memory_new(sizeof(*query));
    query->resolver = resolver;
    query->type = type;
    query->done = done;
    query->ctx = ctx;
    query->generation = resolver->generation;
    query->deadline = loop_timer_new(resolver->loop, on_deadline, query);
    loop_task_init(&query->step, query_step, query);
    list_append(&resolver->queries, &query->in_resolver);
    return query;
}

static void query_start(struct resolver_query *query, struct span name, bool is_valid)
{
    if (is_valid && span_to_string(name, query->name, sizeof(query->name))) {
        loop_timer_start(query->deadline, RESOLVER_DEADLINE_MS);
        query_step_soon(query);
    } else { /* what cannot be asked for is not published (rfc/dns.md DNS-11) */
        query_end(query, DNS_NXDOMAIN, "not a name that DNS can hold");
    }
}

struct resolver_query *resolver_ask(struct resolver *resolver, struct span name, enum dns_type type,
                                    resolver_done_fn *done, void *ctx)
{
    struct resolver_query *query = query_new(resolver, type, done, ctx);
    query_start(query, name, dns_name_is_valid(name));
    return query;
}

struct resolver_query *resolver_ask_for_proof(struct resolver *resolver, unsigned server,
                                              struct span name, enum dns_type type,
                                              resolver_done_fn *done, void *ctx)
{
    struct resolver_query *query = query_new(resolver, type, done, ctx);
    query->is_proof = true;
    query->server = server;
    query_start(query, name, dns_name_is_valid(name) || span_equal(name, SPAN(".")));
    return query;
}

/* Those that waited for the proof are asked now. */
void resolver_set_standing(struct resolver *resolver, enum resolver_standing standing)
{
    struct resolver_query *query;
    resolver->standing = standing;
    if (standing == RESOLVER_ON_PROOF)
        return;
    LIST_EACH(query, &resolver->queries, struct resolver_query, in_resolver)
    {
        if (!query->request && !query->answered)
            query_step_soon(query);
    }
}

void resolver_set_doubted(struct resolver *resolver, unsigned server, bool is_doubted)
{
    resolver->servers[server].is_doubted = is_doubted;
}

void resolver_on_proof_wanted(struct resolver *resolver, resolver_proof_wanted_fn *wanted,
                              void *ctx)
{
    resolver->proof_wanted = wanted;
    resolver->proof_ctx = ctx;
}

bool resolver_is_trusted(const struct resolver *resolver)
{
    return resolver->trusted;
}

unsigned resolver_server_count(const struct resolver *resolver)
{
    return resolver->server_count;
}

struct endpoint resolver_server(const struct resolver *resolver, unsigned server)
{
    return resolver->servers[server].endpoint;
}

bool resolver_has_dnssec(const struct resolver *resolver)
{
    return resolver->trusted && resolver->standing != RESOLVER_UNPROVEN;
}

void resolver_cancel(struct resolver_query **query)
{
    struct resolver_query *q = *query;
    *query = NULL;
    if (q)
        query_free(q);
}

void resolver_free(struct resolver **resolver)
{
    struct resolver *r = *resolver;
    *resolver = NULL;
    if (!r)
        return;
    while (!list_empty(&r->queries))
        query_free(LIST_FIRST(&r->queries, struct resolver_query, in_resolver));
    for (unsigned i = 0; i < r->server_count; i++) {
        resolver_channel_free(&r->servers[i].udp);
        resolver_channel_free(&r->servers[i].tcp);
    }
    resolver_channels_free(&r->retirees);
    free(r);
}

/* ---- asking ------------------------------------------------------------------------------- */

static void query_failed(struct resolver_query *query, const char *reason)
{
    snprintf(query->reason, sizeof(query->reason), "%s", reason);
    query_step_soon(query);
}

/* The server that the query is at; NULL when the servers have been changed meanwhile. */
static struct server *server_of(struct resolver_query *query)
{
    struct resolver *resolver = query->resolver;
    return query->generation == resolver->generation ? &resolver->servers[query->server] : NULL;
}

static void query_blames_server(struct resolver_query *query, const char *reason)
{
    struct server *server = server_of(query);
    if (server)
        server_failed(query->resolver, server);
    query_failed(query, reason);
}

static bool others_remain(const struct resolver_query *query)
{
    unsigned index;
    return query->generation == query->resolver->generation &&
           choose_server(query->resolver, query->asked, &index);
}

static bool ad_counts_now(struct resolver_query *query)
{
    const struct resolver *resolver = query->resolver;
    const struct server *server = server_of(query);
    return resolver->trusted && server &&
           (query->is_proof || (resolver->standing == RESOLVER_PROVEN && !server->is_doubted));
}

/* Its AD did not count when it was asked for, and might have. */
static bool stays_in_doubt(const struct resolver_query *query, struct span reply)
{
    return ((unsigned char)reply.data[3] & FLAG_AD) && !query->ad_counts &&
           resolver_has_dnssec(query->resolver);
}

/* The same, and it may count soon, or does by now. */
static bool is_in_doubt(const struct resolver_query *query, struct span reply)
{
    return stays_in_doubt(query, reply) && query->resolver->proof_wanted && !query->was_in_doubt;
}

/* It is put to the same server again, when a proof has come to something. */
static void ask_once_more(struct resolver_query *query)
{
    struct resolver *resolver = query->resolver;
    query->was_in_doubt = true;
    query->asked &= ~(1U << query->server);
    if (resolver->standing != RESOLVER_ON_PROOF && !ad_counts_now(query)) {
        resolver_set_standing(resolver, RESOLVER_ON_PROOF);
        resolver->proof_wanted(resolver->proof_ctx);
    }
    query_step_soon(query);
}

/*
 * SERVFAIL is a validating resolver's word for "forged": no other server is asked in its place when
 * ours validate.  Refusals and nonsense are the server's own fault.
 */
static void query_replied(struct resolver_query *query, struct span reply)
{
    unsigned rcode = (unsigned char)reply.data[3] & 0x0fU;
    if (rcode != 0 && rcode != RCODE_NXDOMAIN && rcode != RCODE_SERVFAIL) {
        char reason[40];
        snprintf(reason, sizeof(reason), "the resolver answered with rcode %u", rcode);
        query_blames_server(query, reason);
        return;
    }
    struct server *server = server_of(query);
    if (server)
        server_answered(server);
    if (rcode == RCODE_SERVFAIL && !query->ad_counts && others_remain(query)) {
        query_failed(query, "SERVFAIL");
        return;
    }
    if (rcode != RCODE_SERVFAIL && is_in_doubt(query, reply)) {
        ask_once_more(query);
        return;
    }
    dns_message_parse(reply, span_of(query->name), query->type, query->ad_counts, &query->answer);
    query->answer.in_doubt = query->answer.outcome != DNS_TEMPFAIL && stays_in_doubt(query, reply);
    query->answered = true;
    query_step_soon(query);
}

static void on_replied(void *ctx, enum channel_reply how, struct span reply)
{
    struct resolver_query *query = ctx;
    query->request = NULL;
    switch (how) {
    case CHANNEL_REPLIED:
        query_replied(query, reply);
        return;
    case CHANNEL_TIMED_OUT:
        query_blames_server(query, "timed out");
        return;
    case CHANNEL_REFUSED:
        query_blames_server(query, "no resolver answers");
        return;
    case CHANNEL_MISMATCHED: /* once more, over what nobody else can write to */
        query->asked &= ~(1U << query->server);
        if (query->by_tcp)
            query_blames_server(query, "the answer is for another question");
        else
            query_failed(query, "the answer is for another question");
        query->by_tcp = true;
        return;
    case CHANNEL_FAILED:
        break;
    }
    query_blames_server(query, "the resolver cannot be asked");
}

/* Moves on to the next server, or to the next round; false when there were enough. */
static bool query_next_server(struct resolver_query *query)
{
    struct resolver *resolver = query->resolver;
    if (query->is_proof)
        return query->generation == resolver->generation && query->rounds++ < PROOF_ROUNDS_MAX;
    if (query->generation != resolver->generation) {
        query->generation = resolver->generation;
        query->asked = 0;
    }
    if (!choose_server(resolver, query->asked, &query->server)) {
        query->asked = 0;
        query->rounds++;
        if (query->rounds >= ROUNDS_MAX)
            return false;
        ensure(choose_server(resolver, 0, &query->server));
    }
    query->asked |= 1U << query->server;
    return true;
}

static void query_ask(struct resolver_query *query)
{
    struct resolver *resolver = query->resolver;
    struct resolver_channel *channel = NULL;
    if (resolver->standing == RESOLVER_ON_PROOF && !query->is_proof)
        return; /* resolver_set_standing goes on with it */
    if (!query_next_server(query)) {
        query_end(query, DNS_TEMPFAIL, query->reason);
        return;
    }
    query->ad_counts = ad_counts_now(query);
    struct error *err = channel_of(resolver, server_of(query), query->by_tcp, &channel);
    if (err) {
        query_blames_server(query, error_text(err));
        error_free(&err);
        return;
    }
    query->request =
        resolver_channel_ask(channel, query->name, (int)query->type, on_replied, query);
}

static void query_step(void *ctx)
{
    struct resolver_query *query = ctx;
    if (!query->answered) {
        query_ask(query);
        return;
    }
    list_remove(&query->in_resolver);
    query->done(query->ctx, &query->answer);
    query_free(query);
}

enum { DNS_PORT = 53 };

/* ---- resolv.conf -------------------------------------------------------------------------- */

static struct span cut_word(struct span *rest)
{
    size_t start = 0;
    while (start < rest->len && (rest->data[start] == ' ' || rest->data[start] == '\t'))
        start++;
    size_t end = start;
    while (end < rest->len && rest->data[end] != ' ' && rest->data[end] != '\t' &&
           rest->data[end] != '\r')
        end++;
    struct span word = { rest->data + start, end - start };
    *rest = span_from(*rest, end);
    return word;
}

unsigned resolver_servers_of(struct span resolv_conf, struct endpoint *out, unsigned max)
{
    struct span line;
    unsigned count = 0;
    while (count < max && span_cut(&resolv_conf, '\n', &line)) {
        if (!span_equal(cut_word(&line), SPAN("nameserver")))
            continue;
        if (ip_address_parse(cut_word(&line), &out[count].address))
            out[count++].port = DNS_PORT;
    }
    return count;
}

unsigned resolver_servers_for(const struct settings *settings, struct span resolv_conf,
                              struct endpoint out[SETTINGS_RESOLVERS_MAX], bool *out_trusted)
{
    unsigned count = settings->resolver_count;
    memcpy(out, settings->resolvers, count * sizeof(out[0]));
    if (count == 0)
        count = resolver_servers_of(resolv_conf, out, SETTINGS_RESOLVERS_MAX);
    if (count == 0) {
        ensure(ip_address_parse(SPAN("127.0.0.1"), &out[0].address));
        out[0].port = DNS_PORT;
        count = 1;
    }
    *out_trusted = true;
    for (unsigned i = 0; i < count; i++)
        *out_trusted = *out_trusted && ip_address_is_loopback(&out[i].address);
    return count;
}
