#include "queue/sign/sign.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "queue/sign/asks.h"

#include <stdio.h>
#include <unistd.h>

struct sign {
    struct role *role;
    struct keys *keys;
    struct asks *asks;
};

/* --- keys ------------------------------------------------------------------------------------ */

static struct span pem_of(void *ctx, unsigned entry)
{
    const struct sign *sign = ctx;

    return role_content(sign->role, CONTENT_DKIM_KEY, entry);
}

/* The supervisor has tried it before it handed it over. */
static void on_fault(void *ctx, const struct dkim_settings *entry, const struct error *err)
{
    struct log_line line;

    (void)ctx;
    log_begin(&line, LOG_ERROR, "dkim-key-unusable");
    log_string(&line, "key", entry->key);
    log_error(&line, err);
    log_end(&line);
}

/*
 * New settings come first and their keys behind them: until all are here the old ones sign, for an
 * entry must never sign with the key of another.
 */
static bool have_come(const struct role *role)
{
    for (unsigned i = 0; i < role_settings(role)->dkim_count; i++)
        if (!role_content_is_current(role, CONTENT_DKIM_KEY, i))
            return false;
    return true;
}

static void log_keys(unsigned count)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "dkim-keys");
    log_number(&line, "count", count);
    log_end(&line);
}

static void take_keys(struct sign *sign)
{
    struct keys *fresh;

    if (!have_come(sign->role))
        return;
    fresh = keys_new(role_settings(sign->role), pem_of, on_fault, sign);
    if (sign->asks)
        asks_use(sign->asks, fresh);
    if (keys_count(fresh) + (sign->keys ? keys_count(sign->keys) : 0) > 0)
        log_keys(keys_count(fresh));
    keys_release(&sign->keys);
    sign->keys = fresh;
}

static void on_settings(void *ctx)
{
    take_keys(ctx);
}

static void on_content(void *ctx, enum role_content kind, unsigned index)
{
    (void)index;
    if (kind == CONTENT_DKIM_KEY)
        take_keys(ctx);
}

/* --- what the operator is told --------------------------------------------------------------- */

static void join_senders(const struct name_list *list, struct json *row)
{
    struct buf text;

    buf_init(&text, 2 * SETTINGS_NAMES_SIZE);
    for (unsigned i = 0; i < list->count; i++)
        ensure(buf_printf(&text, "%s%s", i > 0 ? " " : "", name_list_item(list, i)));
    json_add_text(row, "senders", buf_span(&text));
    buf_clear(&text);
}

static void add_key(struct json *rows, const struct keys_entry *entry)
{
    struct json *row = json_append_object(rows);

    join_senders(&entry->settings->senders, row);
    json_add_string(row, "domain", entry->settings->domain);
    json_add_string(row, "selector", entry->settings->selector);
    json_add_string(row, "algorithm",
                    entry->key ? dkim_algorithm_name(signing_key_algorithm(entry->key))
                               : "unusable");
    json_add_number(row, "bits", entry->key ? signing_key_bits(entry->key) : 0);
}

static void add_counts(struct json *o, const struct asks_counts *counts)
{
    char text[CLOCK_TEXT_SIZE];

    json_add_number(o, "signed", (int64_t)counts->signed_messages);
    json_add_number(o, "signed_already", (int64_t)counts->signed_already);
    json_add_number(o, "without_key", (int64_t)counts->without_key);
    json_add_number(o, "unsignable", (int64_t)counts->unsignable);
    json_add_number(o, "trouble", (int64_t)counts->trouble);
    if (counts->last_trouble_utc_ms == 0)
        return;
    clock_format_rfc3339(counts->last_trouble_utc_ms, text);
    json_add_string(o, "last_trouble_at", text);
    json_add_string(o, "last_trouble", counts->last_trouble);
}

static void reply_counts(const struct sign *sign, struct role_request **request)
{
    struct json *o = json_new_object();
    struct json *rows = json_add_array(o, "keys");

    for (unsigned i = 0; i < keys_count(sign->keys); i++)
        add_key(rows, keys_entry(sign->keys, i));
    add_counts(json_add_object(o, "messages"), asks_counts(sign->asks));
    role_reply_json(request, &o);
}

static void on_control(void *ctx, struct role_request *request)
{
    if (span_equal(role_request_verb(request), SPAN("sign counts")))
        reply_counts(ctx, &request);
    else
        role_reply_failed(&request, "the role sign answers no such request");
}

/* --- the role -------------------------------------------------------------------------------- */

static void on_peer(void *ctx, enum role_id peer, unsigned instance, int fd)
{
    struct sign *sign = ctx;

    (void)instance;
    if (peer == ROLE_QUEUE)
        asks_attach(sign->asks, fd);
    else
        close(fd);
}

static const struct role_events events = {
    .peer = on_peer,
    .settings = on_settings,
    .content = on_content,
    .control = on_control,
};

int sign_main(struct role *role)
{
    struct sign sign = { .role = role };
    int status;

    take_keys(&sign);
    ensure(sign.keys); /* before role_serve all has come */
    sign.asks = asks_new(role_loop(role), sign.keys, SIGN_WAIT_MS);
    status = role_serve(role, &events, &sign);
    asks_free(&sign.asks);
    keys_release(&sign.keys);
    return status;
}
