#include "tlsrpt/wishes.h"

#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VIEWS = 2 }; /* as a policy domain, as an MX host */

/* A domain that was asked about. */
struct entry {
    struct wishes *wishes;
    struct list others; /* of those known, the longest unused first; or of those that wait */
    char name[DOMAIN_MAX + 1];
    struct resolver_query *query;
    bool is_waiting; /* for its lookup to begin */
    enum tally_wish state;
    char *record; /* with TALLY_WISH_SEEN */
    size_t record_len;
    int64_t until_ms;       /* of the loop: no lookup before */
    uint32_t wanted[VIEWS]; /* the day for which tally is to know; 0: none */
    uint32_t noted[VIEWS];  /* the day for which it does */
};

struct wishes {
    struct loop *loop;
    struct resolver *resolver;
    struct tally *tally;
    wishes_known_fn *known;
    void *ctx;
    struct map *by_name;
    struct list kept;
    struct list waiting;
    unsigned lookups;
    size_t bytes;
};

/* --- entries */

static void set_record(struct entry *entry, enum tally_wish state, struct span record)
{
    entry->wishes->bytes -= entry->record_len;
    free(entry->record);
    entry->state = state;
    entry->record = state == TALLY_WISH_SEEN ? memory_copy_span(record) : NULL;
    entry->record_len = state == TALLY_WISH_SEEN ? record.len : 0;
    entry->wishes->bytes += entry->record_len;
}

static void entry_free(struct entry *entry)
{
    set_record(entry, TALLY_WISH_NONE, SPAN(""));
    map_remove(entry->wishes->by_name, span_of(entry->name));
    list_remove(&entry->others);
    resolver_cancel(&entry->query);
    free(entry);
}

static bool is_under_way(const struct entry *entry)
{
    return entry->query || entry->is_waiting;
}

/* Room for one more; false when all that is kept is under way. */
static bool make_room(struct wishes *wishes)
{
    while (map_count(wishes->by_name) >= WISHES_MAX || wishes->bytes > WISHES_BYTES_MAX) {
        if (list_empty(&wishes->kept))
            return false;
        entry_free(LIST_FIRST(&wishes->kept, struct entry, others));
    }
    return true;
}

/* NULL: there is no room. */
static struct entry *entry_of(struct wishes *wishes, struct span domain)
{
    struct entry *entry = map_get(wishes->by_name, domain);

    if (entry && !is_under_way(entry)) {
        list_remove(&entry->others);
        list_append(&wishes->kept, &entry->others);
    }
    if (entry || domain.len > DOMAIN_MAX || !make_room(wishes))
        return entry;
    entry = memory_new(sizeof(*entry));
    entry->wishes = wishes;
    entry->until_ms = loop_now(wishes->loop);
    ensure(span_to_string(domain, entry->name, sizeof(entry->name)));
    list_init(&entry->others);
    list_append(&wishes->kept, &entry->others);
    map_put(wishes->by_name, domain, entry);
    return entry;
}

struct wishes *wishes_new(struct loop *loop, struct resolver *resolver, struct tally *tally,
                          wishes_known_fn *known, void *ctx)
{
    struct wishes *wishes = memory_new(sizeof(*wishes));

    wishes->loop = loop;
    wishes->resolver = resolver;
    wishes->tally = tally;
    wishes->known = known;
    wishes->ctx = ctx;
    wishes->by_name = map_new();
    list_init(&wishes->kept);
    list_init(&wishes->waiting);
    return wishes;
}

void wishes_free(struct wishes **wishes)
{
    struct wishes *w = *wishes;
    struct entry *entry;

    *wishes = NULL;
    if (!w)
        return;
    for (size_t cursor = 0; (entry = map_next(w->by_name, &cursor, NULL)); cursor = 0)
        entry_free(entry);
    map_free(&w->by_name);
    free(w);
}

/* --- to tally */

static void note_view(struct entry *entry, bool of_host)
{
    struct span record = { entry->record, entry->record_len };
    uint32_t day = entry->wanted[of_host];
    struct subject subject = of_host ? subject_of_host(day, span_of(entry->name))
                                     : subject_of_domain(day, span_of(entry->name));

    if (day == 0)
        return;
    entry->noted[of_host] = day;
    tally_note_wish(entry->wishes->tally, &subject, entry->state, record);
}

/* --- lookups */

static int64_t kept_for_ms(const struct dns_answer *answer)
{
    int64_t ttl_ms = (int64_t)answer->ttl * SECOND_MS;

    if (answer->outcome == DNS_TEMPFAIL || ttl_ms < WISHES_LEAST_MS)
        return WISHES_LEAST_MS;
    return ttl_ms < WISHES_MOST_MS ? ttl_ms : WISHES_MOST_MS;
}

static void log_trouble(const struct entry *entry, const char *trouble)
{
    struct log_line line;

    log_begin(&line, LOG_INFO, "tlsrpt-record-unusable");
    log_string(&line, "domain", entry->name);
    log_string(&line, "reason", trouble);
    log_end(&line);
}

/* What was known stays when there is no answer. */
static void take_answer(struct entry *entry, const struct dns_answer *answer)
{
    char room[TALLY_RECORD_MAX];
    struct wish wish = wish_of_answer(answer, room);

    if (wish.trouble)
        log_trouble(entry, wish.trouble);
    if (wish.state != TALLY_WISH_UNKNOWN)
        set_record(entry, wish.state, wish.record);
    entry->until_ms = loop_now(entry->wishes->loop) + kept_for_ms(answer);
}

static void begin_waiting(struct wishes *wishes);

static void on_answer(void *ctx, const struct dns_answer *answer)
{
    struct entry *entry = ctx;
    struct wishes *wishes = entry->wishes;
    char name[DOMAIN_MAX + 1];

    entry->query = NULL;
    wishes->lookups--;
    list_append(&wishes->kept, &entry->others);
    take_answer(entry, answer);
    note_view(entry, false);
    note_view(entry, true);
    memcpy(name, entry->name, sizeof(name)); /* who hears of it may ask again */
    begin_waiting(wishes);
    wishes->known(wishes->ctx, span_of(name));
}

static void begin(struct entry *entry)
{
    struct wishes *wishes = entry->wishes;
    char name[DOMAIN_MAX + 16];

    entry->is_waiting = false;
    list_remove(&entry->others);
    snprintf(name, sizeof(name), "_smtp._tls.%s", entry->name);
    entry->query = resolver_ask(wishes->resolver, span_of(name), DNS_TXT, on_answer, entry);
    wishes->lookups++;
}

static void begin_waiting(struct wishes *wishes)
{
    while (wishes->lookups < WISHES_LOOKUPS_MAX && !list_empty(&wishes->waiting))
        begin(LIST_FIRST(&wishes->waiting, struct entry, others));
}

static void look_up(struct entry *entry)
{
    if (is_under_way(entry) || loop_now(entry->wishes->loop) < entry->until_ms)
        return;
    entry->is_waiting = true;
    list_remove(&entry->others);
    list_append(&entry->wishes->waiting, &entry->others);
    begin_waiting(entry->wishes);
}

/* --- asking */

bool wishes_known(struct wishes *wishes, struct span domain, struct wish *out, bool *out_comes)
{
    struct entry *entry = entry_of(wishes, domain);

    *out_comes = false;
    if (!entry)
        return false;
    look_up(entry);
    *out_comes = is_under_way(entry);
    *out = (struct wish){ .state = entry->state, .record = { entry->record, entry->record_len } };
    return entry->state != TALLY_WISH_UNKNOWN;
}

void wishes_note(struct wishes *wishes, const struct subject *subject)
{
    struct entry *entry = entry_of(wishes, span_of(subject->domain));

    if (!entry)
        return;
    look_up(entry);
    entry->wanted[subject->of_host] = subject->day;
    if (!is_under_way(entry) && entry->noted[subject->of_host] != subject->day)
        note_view(entry, subject->of_host);
}
