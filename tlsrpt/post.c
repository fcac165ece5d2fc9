#include "tlsrpt/post.h"

#include "lib/base/memory.h"
#include "lib/io/addresses.h"
#include "lib/io/own_address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_SHOWN = 100 }; /* of the host's answer, where it is no yes */

struct post {
    struct post_tools tools;
    struct destination to;
    enum report_form form;
    struct span body;
    post_done_fn *done;
    void *ctx;
    struct loop_timer *deadline;
    struct loop_task ending;
    int64_t ends_ms;
    struct address_query *query;
    struct http_request *request;
    struct post_result result;
};

static void post_free(struct post *post)
{
    if (post->query)
        addresses_cancel(&post->query);
    http_cancel(&post->request);
    loop_timer_free(&post->deadline);
    loop_task_cancel(&post->ending);
    free(post);
}

static void on_ending(void *ctx)
{
    struct post *post = ctx;

    post->done(post->ctx, &post->result);
    post_free(post);
}

static void end(struct post *post)
{
    loop_timer_cancel(post->deadline);
    loop_defer(post->tools.loop, &post->ending);
}

static void fail(struct post *post, const char *why)
{
    snprintf(post->result.reason, sizeof(post->result.reason), "%s", why);
    end(post);
}

static void on_deadline(void *ctx)
{
    struct post *post = ctx;

    if (post->query)
        addresses_cancel(&post->query);
    http_cancel(&post->request);
    fail(post, "no answer in time");
}

/* ---- the answer ----------------------------------------------------------------------------- */

/* The first line of it that has words, for people who look for the trouble. */
static void quote_answer(struct post *post, struct span body)
{
    size_t len = strlen(post->result.reason);
    size_t shown = 0;
    char words[WORDS_SHOWN + 1];

    for (size_t i = 0; i < body.len && shown < WORDS_SHOWN; i++) {
        unsigned char c = (unsigned char)body.data[i];
        if (shown > 0 && (c == '\r' || c == '\n'))
            break;
        if (c > ' ' || (c == ' ' && shown > 0))
            words[shown++] = c <= '~' ? (char)c : '?';
    }
    words[shown] = '\0';
    if (shown > 0)
        snprintf(post->result.reason + len, sizeof(post->result.reason) - len, ": %s", words);
}

static void settle_answer(struct post *post, const struct http_answer *answer)
{
    struct post_result *result = &post->result;

    result->status = answer->status;
    result->taken = post_is_taken(answer->status);
    snprintf(result->reason, sizeof(result->reason), "status %d", answer->status);
    if (!result->taken)
        quote_answer(post, answer->body);
    if (answer->cert != CERT_OK)
        snprintf(result->certificate, sizeof(result->certificate), "%.*s",
                 (int)sizeof(result->certificate) - 1, answer->reason);
    end(post);
}

static void on_answered(void *ctx, const struct http_answer *answer)
{
    struct post *post = ctx;

    post->request = NULL;
    if (answer->outcome == HTTP_GOT)
        settle_answer(post, answer);
    else
        fail(post, answer->reason);
}

/* ---- the way there -------------------------------------------------------------------------- */

/*
 * Our machine's addresses lead to its own services, past the firewall in front of it: a stranger
 * must not choose them, unless mx-allow says so.
 */
static bool is_ours(const struct post *post, const struct ip_address *address)
{
    const struct network_list *allow = post->tools.allow;

    return own_address(address) && !(allow && network_list_contains(allow, address));
}

static void keep_foreign(const struct post *post, struct addresses *found)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < found->count; i++)
        if (!is_ours(post, &found->list[i]))
            found->list[kept++] = found->list[i];
    found->count = kept;
}

static void send_to(struct post *post, const struct addresses *found)
{
    int64_t left_ms = post->ends_ms - loop_now(post->tools.loop);
    struct http_post question = {
        .host = post->to.host,
        .port = post->to.port,
        .path = post->to.path,
        .addresses = found->list,
        .address_count = found->count,
        .content_type = report_media_type(post->form),
        .body = post->body,
        .limit_bytes = POST_ANSWER_MAX,
        .wait_ms = left_ms > 0 ? left_ms : 1,
    };

    post->request = http_post_start(post->tools.http, &question, on_answered, post);
}

static void send_abroad(struct post *post, const struct addresses *found)
{
    struct addresses foreign = *found;

    keep_foreign(post, &foreign);
    if (foreign.count > 0)
        send_to(post, &foreign);
    else
        fail(post, "the host has an address of this machine");
}

static void on_addresses(void *ctx, const struct addresses *found)
{
    struct post *post = ctx;

    post->query = NULL;
    switch (found->verdict) {
    case ADDRESSES_FOUND:
        send_abroad(post, found);
        return;
    case ADDRESSES_NONE:
        fail(post, "the host has no address");
        return;
    case ADDRESSES_REFUSED:
        fail(post, "the host has an internal address");
        return;
    case ADDRESSES_OWN: /* none are named as ours to the query */
    case ADDRESSES_TEMPFAIL:
        break;
    }
    fail(post, found->reason[0] ? found->reason : "the host's addresses are not known");
}

struct post *post_start(const struct post_tools *tools, const struct destination *to,
                        enum report_form form, struct span body, post_done_fn *done, void *ctx)
{
    struct post *post = memory_new(sizeof(*post));
    struct address_filter filter = {
        .allow = tools->allow ? tools->allow->items : NULL,
        .allow_count = tools->allow ? tools->allow->count : 0,
    };

    post->tools = *tools;
    post->to = *to;
    post->form = form;
    post->body = body;
    post->done = done;
    post->ctx = ctx;
    post->ends_ms = loop_now(tools->loop) + POST_WAIT_MS;
    loop_task_init(&post->ending, on_ending, post);
    post->deadline = loop_timer_new(tools->loop, on_deadline, post);
    loop_timer_start(post->deadline, POST_WAIT_MS);
    post->query =
        addresses_ask(tools->loop, tools->resolver, post->to.host, &filter, on_addresses, post);
    return post;
}

void post_cancel(struct post **post)
{
    struct post *p = *post;

    *post = NULL;
    if (p)
        post_free(p);
}
