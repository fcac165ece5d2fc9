#include "tlsrpt/counting.h"

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"

#include <stdlib.h>
#include <string.h>

/* A session that may have to be counted for its MX host. */
struct kept {
    struct list others; /* of those that wait for the same domain */
    uint32_t day;
    struct wish own; /* the policy domain's, where whoever saw the session told it */
    size_t len;
    uint8_t packed[]; /* the event, and behind it that record */
};

/* Those that wait for a domain to be known. */
struct crowd {
    struct list kept;
};

struct counting {
    struct tally *tally;
    struct wishes *wishes;
    counting_changed_fn *changed;
    void *ctx;
    bool reports_wanted;
    struct map *crowds; /* by domain */
    size_t bytes;
    struct counting_counts counts;
};

/* --- those that wait */

static void kept_free(struct counting *counting, struct kept *kept)
{
    counting->counts.waiting--;
    counting->bytes -= kept->len;
    free(kept);
}

static void wait_for(struct counting *counting, struct kept *kept, struct span domain)
{
    struct crowd *crowd = map_get(counting->crowds, domain);

    if (!crowd) {
        crowd = memory_new(sizeof(*crowd));
        list_init(&crowd->kept);
        map_put(counting->crowds, domain, crowd);
    }
    list_append(&crowd->kept, &kept->others);
}

/* --- the MX host's own view */

enum verdict { HOST_COUNTS, HOST_DOES_NOT, HOST_UNKNOWN, HOST_WAITS };

/* What is known of one of the two; `domain` is what to wait for. */
static enum verdict look(struct counting *counting, struct span domain, struct wish *out)
{
    bool comes;

    if (wishes_known(counting->wishes, domain, out, &comes))
        return HOST_COUNTS;
    return comes ? HOST_WAITS : HOST_UNKNOWN;
}

/* A record of the host's, and no destination of the domain's in it. */
static enum verdict judge(struct counting *counting, const struct subject *domain,
                          const struct subject *host, struct wish own, struct span *out_wait)
{
    char room[TALLY_RECORD_MAX];
    enum verdict verdict;
    struct wish wish;

    *out_wait = span_of(host->domain);
    verdict = look(counting, *out_wait, &wish);
    if (verdict != HOST_COUNTS)
        return verdict;
    if (wish.state != TALLY_WISH_SEEN)
        return HOST_DOES_NOT;
    memcpy(room, wish.record.data, wish.record.len); /* lent until the next question */
    wish.record.data = room;
    *out_wait = span_of(domain->domain);
    verdict = own.state == TALLY_WISH_UNKNOWN ? look(counting, *out_wait, &own) : HOST_COUNTS;
    if (verdict == HOST_COUNTS && own.state == TALLY_WISH_SEEN &&
        wish_overlaps(wish.record, own.record))
        return HOST_DOES_NOT;
    return verdict;
}

static void count_for_host(struct counting *counting, const struct subject *host,
                           const Ipc__SessionEvent *event)
{
    tally_add(counting->tally, host, event, 1);
    wishes_note(counting->wishes, host);
    counting->changed(counting->ctx);
}

/* True when it is over; else *out_wait is to be waited for. */
static bool settle(struct counting *counting, uint32_t day, const Ipc__SessionEvent *event,
                   struct wish own, char out_wait[DOMAIN_MAX + 1])
{
    struct subject domain = subject_of_domain(day, span_of_bytes(event->domain));
    struct subject host = subject_of_host(day, span_of_bytes(event->policy_domain));
    struct span wait;
    enum verdict verdict = judge(counting, &domain, &host, own, &wait);

    span_to_string(wait, out_wait, DOMAIN_MAX + 1);
    if (verdict == HOST_COUNTS)
        count_for_host(counting, &host, event);
    counting->counts.left_out += verdict == HOST_UNKNOWN;
    return verdict != HOST_WAITS;
}

static void keep(struct counting *counting, uint32_t day, const Ipc__SessionEvent *event,
                 struct wish own, const char *wait)
{
    size_t packed_len = ipc__session_event__get_packed_size(event);
    size_t len = sizeof(struct kept) + packed_len + own.record.len;
    struct kept *kept;

    if (counting->counts.waiting >= COUNTING_KEPT_MAX ||
        counting->bytes + len > COUNTING_KEPT_BYTES) {
        counting->counts.left_out++;
        return;
    }
    kept = memory_new(len);
    *kept = (struct kept){ .day = day, .len = len };
    list_init(&kept->others);
    ipc__session_event__pack(event, kept->packed);
    memcpy(kept->packed + packed_len, own.record.data ? own.record.data : "", own.record.len);
    kept->own = (struct wish){ .state = own.state,
                               .record = { (char *)kept->packed + packed_len, own.record.len } };
    counting->counts.waiting++;
    counting->bytes += len;
    wait_for(counting, kept, span_of(wait));
}

/* Its event and its domain's record stand behind each other. */
static void settle_kept(struct counting *counting, struct kept *kept)
{
    size_t packed_len = kept->len - sizeof(*kept) - kept->own.record.len;
    Ipc__SessionEvent *event = ipc__session_event__unpack(NULL, packed_len, kept->packed);
    char wait[DOMAIN_MAX + 1];

    ensure(event != NULL); /* we packed it */
    if (settle(counting, kept->day, event, kept->own, wait))
        kept_free(counting, kept);
    else
        wait_for(counting, kept, span_of(wait));
    ipc__session_event__free_unpacked(event, NULL);
}

static void on_known(void *ctx, struct span domain)
{
    struct counting *counting = ctx;
    struct crowd *crowd = map_remove(counting->crowds, domain);

    while (crowd && !list_empty(&crowd->kept)) {
        struct kept *kept = LIST_FIRST(&crowd->kept, struct kept, others);
        list_remove(&kept->others);
        settle_kept(counting, kept);
    }
    free(crowd);
    counting->changed(counting->ctx); /* what was found is noted in tally */
}

/* --- taking in */

static bool has_host(const Ipc__SessionEvent *event)
{
    return event->policy_type == IPC__POLICY_TYPE__TLSA && event->policy_domain.len > 0 &&
           !span_equal_nocase(span_of_bytes(event->policy_domain), span_of_bytes(event->domain));
}

void counting_take(struct counting *counting, uint32_t day, const Ipc__SessionEvent *event,
                   struct span record)
{
    struct subject subject = subject_of_domain(day, span_of_bytes(event->domain));
    struct wish own = { .state = TALLY_WISH_UNKNOWN };
    char room[TALLY_RECORD_MAX], wait[DOMAIN_MAX + 1];

    tally_add(counting->tally, &subject, event, 1);
    counting->counts.sessions++;
    if (record.data) {
        own = wish_of_record(record, room);
        tally_note_wish(counting->tally, &subject, own.state, own.record);
    } else if (counting->reports_wanted) {
        wishes_note(counting->wishes, &subject);
    }
    if (counting->reports_wanted && has_host(event) && !settle(counting, day, event, own, wait))
        keep(counting, day, event, own, wait);
    counting->changed(counting->ctx);
}

void counting_look_again(struct counting *counting, const struct subject *subject)
{
    wishes_note(counting->wishes, subject);
}

void counting_set_reports(struct counting *counting, bool wanted)
{
    counting->reports_wanted = wanted;
}

struct counting_counts counting_counts(const struct counting *counting)
{
    return counting->counts;
}

/* --- life */

struct counting *counting_new(struct loop *loop, struct resolver *resolver, struct tally *tally,
                              counting_changed_fn *changed, void *ctx)
{
    struct counting *counting = memory_new(sizeof(*counting));

    counting->tally = tally;
    counting->wishes = wishes_new(loop, resolver, tally, on_known, counting);
    counting->changed = changed;
    counting->ctx = ctx;
    counting->crowds = map_new();
    counting->reports_wanted = true;
    return counting;
}

void counting_free(struct counting **counting)
{
    struct counting *c = *counting;
    struct crowd *crowd;
    size_t cursor = 0;

    *counting = NULL;
    if (!c)
        return;
    for (; (crowd = map_next(c->crowds, &cursor, NULL)); free(crowd))
        while (!list_empty(&crowd->kept)) {
            struct kept *kept = LIST_FIRST(&crowd->kept, struct kept, others);
            list_remove(&kept->others);
            kept_free(c, kept);
        }
    map_free(&c->crowds);
    wishes_free(&c->wishes);
    free(c);
}
