#include "queue/host_list.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/memory.h"

/* ---- a row ---------------------------------------------------------------------------------- */

static void add_time(struct json *row, const char *key, int64_t utc_ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (utc_ms > 0)
        clock_format_rfc3339(utc_ms, text);
    json_add_string(row, key, utc_ms > 0 ? text : NULL);
}

static size_t count_waiting(const struct host_state *state)
{
    size_t count = 0;

    if (!state->waiting.next)
        return 0; /* it is from disk */
    for (const struct list *at = state->waiting.next; at != &state->waiting; at = at->next)
        count++;
    return count;
}

static void add_tls(struct json *row, const struct host_state *state)
{
    Ipc__HostTls tls = host_state_tls(state, clock_utc_ms());

    json_add_string(row, "tls", host_tls_name(tls));
    add_time(row, "tls_expires", tls ? state->tls_until_ms : 0);
}

static void add_row(struct hosts *hosts, const struct host_state *state, struct json *array)
{
    const struct host_limit *limit = &state->limit;
    struct json *row = json_append_object(array);
    bool learned = limit->is_learned;

    json_add_string(row, "host", state->name);
    json_add_string(row, "kind", state->kind == HOST_MX ? "mx" : "next hop");
    if (learned)
        json_add_number(row, "limit", limit->limit);
    else
        json_add_null(row, "limit");
    json_add_number(row, "cap", hosts_cap(hosts, state));
    json_add_number(row, "open", state->open);
    json_add_number(row, "waiting", (int64_t)count_waiting(state));
    add_time(row, "rests_until", learned ? limit->probe_ms : 0);
    add_time(row, "trouble_at", limit->trouble_ms);
    add_time(row, "expires", host_limit_expiry(limit));
    add_tls(row, state);
    json_add_string(row, "trouble", state->words[0] ? state->words : NULL);
}

/* ---- those in memory ------------------------------------------------------------------------ */

struct kept {
    struct record_key key;
    const struct host_state *state;
};

static bool is_worth_a_row(const struct host_state *state)
{
    return state->limit.is_learned || host_state_tls(state, clock_utc_ms()) || state->open > 0 ||
           !list_empty(&state->waiting);
}

static int compare_keys(const struct record_key *a, const struct record_key *b)
{
    int order = memcmp(a->bytes, b->bytes, a->len < b->len ? a->len : b->len);

    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static int compare_kept(const void *a, const void *b)
{
    const struct kept *left = a;
    const struct kept *right = b;

    return compare_keys(&left->key, &right->key);
}

/* In order, from behind `after` on. */
static struct kept *collect(struct hosts *hosts, const struct record_key *after, size_t *out_count)
{
    struct host_states *states = hosts_states(hosts);
    struct kept *all = memory_new_array(host_states_count(states) + 1, sizeof(*all));
    const struct host_state *state;
    size_t cursor = 0;
    size_t count = 0;

    while ((state = host_states_next(states, &cursor)) != NULL) {
        struct kept kept = { key_of_host(state->kind, span_of(state->name)), state };
        if (is_worth_a_row(state) && compare_keys(&kept.key, after) > 0)
            all[count++] = kept;
    }
    qsort(all, count, sizeof(*all), compare_kept);
    *out_count = count;
    return all;
}

/* ---- both, in one order --------------------------------------------------------------------- */

struct merge {
    struct hosts *hosts;
    const struct kept *kept;
    size_t count;
    size_t at;
    struct json *array;
    size_t most;
    size_t rows;
    struct record_key last;
    bool more;
};

/* False: it finds no place in the page. */
static bool merge_add(struct merge *merge, const struct host_state *state)
{
    merge->more = merge->rows >= merge->most;
    if (merge->more)
        return false;
    add_row(merge->hosts, state, merge->array);
    merge->last = key_of_host(state->kind, span_of(state->name));
    merge->rows++;
    return true;
}

/* Those in memory that come before a key, or all that are left. */
static bool merge_until(struct merge *merge, const struct record_key *key)
{
    for (; merge->at < merge->count; merge->at++) {
        if (key && compare_keys(&merge->kept[merge->at].key, key) >= 0)
            return true;
        if (!merge_add(merge, merge->kept[merge->at].state))
            return false;
    }
    return true;
}

/* What is in memory is newer. */
static bool on_disk_row(void *ctx, const struct host_state *state)
{
    struct merge *merge = ctx;
    struct record_key key = key_of_host(state->kind, span_of(state->name));

    if (!merge_until(merge, &key))
        return false;
    if (host_states_find(hosts_states(merge->hosts), state->kind, span_of(state->name)))
        return true;
    return merge_add(merge, state);
}

bool host_list_is_place(struct span text)
{
    enum host_kind kind;
    struct span name;

    return text.len == 0 || key_read_host(text, &kind, &name);
}

struct error *host_list_read(struct hosts *hosts, char place[HOST_PLACE_SIZE], size_t most,
                             struct json *array, bool *out_more)
{
    struct record_key after = { .len = 0 };
    struct merge merge = { .hosts = hosts, .array = array, .most = most };
    enum host_kind kind;
    struct span name;

    if (key_read_host(span_of(place), &kind, &name))
        after = key_of_host(kind, name);
    struct kept *kept = collect(hosts, &after, &merge.count);
    merge.kept = kept;
    struct error *err =
        host_keep_walk(hosts_keep(hosts), after.len > 0 ? &after : NULL, on_disk_row, &merge);
    if (!err && !merge.more)
        merge_until(&merge, NULL);
    span_to_string(key_span(&merge.last), place, HOST_PLACE_SIZE);
    *out_more = merge.more;
    free(kept);
    return err;
}

void host_list_read_one(struct hosts *hosts, struct span name, struct json *array)
{
    static const enum host_kind kinds[] = { HOST_MX, HOST_HOP };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct host_state known = { .kind = kinds[i] };
        const struct host_state *state = host_states_find(hosts_states(hosts), kinds[i], name);
        if (state)
            add_row(hosts, state, array);
        else if (name.len > 0 && span_to_string(name, known.name, sizeof(known.name)) &&
                 host_keep_load(hosts_keep(hosts), &known))
            add_row(hosts, &known, array);
    }
}
