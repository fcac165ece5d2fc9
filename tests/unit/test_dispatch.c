#include "tests/support/test.h"

#include "tests/support/store_rig.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/memory.h"
#include "queue/due_walk.h"
#include "queue/slots.h"

static struct store_rig rig;
static struct leases *leases;
static struct hop_ring ring;
static struct kv_txn *txn;
static struct due_walk walk;

static int open_rig(void **state)
{
    (void)state;
    store_rig_open(&rig);
    leases = leases_new();
    hop_ring_init(&ring);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    hop_ring_clear(&ring);
    leases_free(&leases);
    store_rig_close(&rig);
    return 0;
}

static void begin_walk(void)
{
    assert_null(kv_begin_read(store_kv(rig.store), &txn));
    walk = (struct due_walk){ .leases = leases,
                              .now_ms = clock_utc_ms() + SECOND_MS,
                              .next_ms = INT64_MAX };
    assert_null(kv_cursor_open(txn, TABLE_DUE, &walk.cursor));
}

static void end_walk(void)
{
    kv_cursor_close(&walk.cursor);
    kv_abort(&txn);
}

/* The next message of example.net that is leased; 0: none. */
static uint64_t lease_next(void)
{
    struct hop *hop = hop_have(&ring, SPAN("example.net"));
    struct due_group group;
    bool found;
    assert_null(due_walk_next(&walk, hop, &group, &found));
    if (!found)
        return 0;
    lease_begin(leases, group.first.id, group.numbers, group.count);
    return group.first.id;
}

static uint64_t accept_from(const char *sender)
{
    return store_rig_accept(&rig, sender, "bob@example.net", SPAN("Subject: x\r\n\r\n"));
}

static void a_flood_of_one_sender_does_not_delay_another(void **state)
{
    (void)state;
    store_rig_accept_many(&rig, "bulk@flood.test", "bob@example.net", 100000);
    uint64_t lone = accept_from("ada@sender.test");
    assert_int_equal(store_usage(rig.store).messages, 100001);
    begin_walk();
    unsigned turns = 1;
    while (lease_next() != lone)
        assert_true(++turns < 5);
    end_walk();
}

static void senders_take_turns(void **state)
{
    (void)state;
    static const char *const senders[] = { "a@one.test", "a@two.test", "a@three.test" };
    uint64_t ids[3][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 3; j++)
            ids[j][i] = 0;
    for (int j = 0; j < 3; j++)
        for (int i = 0; i < 4; i++)
            ids[j][i] = accept_from(senders[j]);
    begin_walk();
    for (int round = 0; round < 4; round++) {
        bool had[3] = { false, false, false };
        for (int turn = 0; turn < 3; turn++) {
            uint64_t id = lease_next();
            for (int j = 0; j < 3; j++)
                if (id == ids[j][round])
                    had[j] = true;
        }
        assert_true(had[0] && had[1] && had[2]); /* one of each, each sender's oldest first */
    }
    assert_int_equal(lease_next(), 0);
    end_walk();
}

static void a_leased_row_is_not_found_again_until_its_lease_ends(void **state)
{
    (void)state;
    uint64_t id = accept_from("ada@sender.test");
    begin_walk();
    struct hop *hop = hop_have(&ring, SPAN("example.net"));
    struct due_group group;
    bool found;
    assert_null(due_walk_next(&walk, hop, &group, &found));
    assert_true(found && group.first.id == id);
    struct lease *lease = lease_begin(leases, id, group.numbers, group.count);
    assert_int_equal(lease_next(), 0);
    lease_end(leases, &lease);
    assert_int_equal(lease_next(), id);
    end_walk();
}

/* RFC 6710 s.5: first what has priority, last what has little. */
static void priority_goes_first_and_starves_none(void **state)
{
    uint64_t low, urgent;
    unsigned turn = 1;
    (void)state;
    rig.priority = -4;
    low = accept_from("low@sender.test");
    rig.priority = 0;
    store_rig_accept_many(&rig, "ada@sender.test", "bob@example.net", 100);
    rig.priority = 9;
    urgent = accept_from("urgent@sender.test");
    store_rig_accept_many(&rig, "urgent@sender.test", "bob@example.net", 100);
    rig.priority = 0;
    begin_walk();
    assert_int_equal(lease_next(), urgent);
    while (lease_next() != low)
        turn++;
    assert_in_range(turn, 10, 16);
    end_walk();
}

static void new_mail_goes_before_retries_and_starves_none(void **state)
{
    (void)state;
    uint64_t retried = accept_from("ada@sender.test");
    struct settle settle =
        store_rig_settle(&rig, retried, 0, IPC__RESULT_KIND__DEFERRED, "4.2.1", false);
    settle_clear(&settle);
    store_rig_change(&rig, CHANGE_RETRY, 0);
    store_rig_accept_many(&rig, "ada@sender.test", "bob@example.net", 100);
    begin_walk();
    unsigned turn = 1;
    while (lease_next() != retried)
        turn++;
    assert_true(turn > 1 && turn <= 4);
    end_walk();
}

static void what_is_not_due_says_when_it_will_be(void **state)
{
    (void)state;
    uint64_t id = accept_from("ada@sender.test");
    struct settle settle =
        store_rig_settle(&rig, id, 0, IPC__RESULT_KIND__DEFERRED, "4.2.1", false);
    int64_t next_ms = settle.settled[0].next_ms;
    settle_clear(&settle);
    begin_walk();
    assert_int_equal(lease_next(), 0);
    assert_int_equal(walk.next_ms, next_ms);
    end_walk();
}

static void recipients_of_one_message_go_together(void **state)
{
    (void)state;
    struct envelope envelope;
    struct address address;
    envelope_init(&envelope);
    assert_int_equal(address_parse(SPAN("bob@example.net"), &address), ADDRESS_FINE);
    for (unsigned i = 0; i < 150; i++)
        envelope_add(&envelope, &address)->number = i;
    struct accept accept = { .id = store_new_id(rig.store),
                             .content = SPAN("x\r\n"),
                             .last = true,
                             .envelope = &envelope,
                             .size = 3 };
    accept_prepare(&accept);
    store_rig_commit(&rig, &accept.operation);
    begin_walk();
    struct hop *hop = hop_have(&ring, SPAN("example.net"));
    struct due_group group;
    bool found;
    assert_null(due_walk_next(&walk, hop, &group, &found));
    assert_int_equal(group.count, RECIPIENTS_PER_JOB_MAX);
    lease_begin(leases, accept.id, group.numbers, group.count);
    assert_null(due_walk_next(&walk, hop, &group, &found));
    assert_true(found);
    assert_int_equal(group.count, 50);
    assert_int_equal(group.numbers[0], 100);
    end_walk();
    envelope_clear(&envelope);
}

static void a_walk_over_all_rows_disturbs_no_turn(void **state)
{
    (void)state;
    static const char *const senders[] = { "a@one.test", "a@two.test", "a@three.test" };
    for (int i = 0; i < 3; i++)
        store_rig_accept_many(&rig, senders[i], "bob@example.net", 50);
    store_rig_accept(&rig, "a@one.test", "bob@example.nets", SPAN("Subject: x\r\n\r\n"));
    begin_walk();
    struct hop *hop = hop_have(&ring, SPAN("example.net"));
    struct due at = { .hop = hop_name(hop) };
    struct due_group group;
    bool found;
    unsigned count = 0;
    uint64_t leased = lease_next();
    for (;; count++) {
        assert_null(due_walk_from(&walk, hop, &at, &group, &found));
        if (!found)
            break;
        assert_int_not_equal(group.first.id, leased);
        assert_int_equal(group.count, 1);
    }
    assert_int_equal(count, 149);
    unsigned rest = 0;
    while (lease_next() != 0)
        rest++;
    assert_int_equal(rest, 149);
    end_walk();
}

static void another_hops_mail_is_not_touched(void **state)
{
    (void)state;
    store_rig_accept(&rig, "ada@sender.test", "bob@example.net.au", SPAN("x\r\n"));
    store_rig_accept(&rig, "ada@sender.test", "bob@example.com", SPAN("x\r\n"));
    begin_walk();
    assert_int_equal(lease_next(), 0);
    end_walk();
}

/* ---- which worker -----------------------------------------------------------------------------
 */

enum { WORKERS = 4 };
static struct slots slots;
static struct worker_slot workers[WORKERS];

static int make_workers(void **state)
{
    (void)state;
    slots_init(&slots);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker_slot){ .instance = i, .room = 40, .takes_jobs = true };
        slots_add(&slots, &workers[i]);
    }
    return 0;
}

static struct worker_slot *choose(struct span hop, unsigned jobs, int64_t now_ms)
{
    struct slot_wish wish = { hop, HOP_KNOWN, jobs };
    return slots_choose(&slots, &wish, now_ms);
}

static struct span hop_called(unsigned nth, char room[32])
{
    struct buf name;
    buf_init(&name, 31);
    assert_true(buf_printf(&name, "host%u.test", nth));
    span_to_string(buf_span(&name), room, 32);
    buf_clear(&name);
    return span_of(room);
}

static void a_hop_belongs_to_one_worker(void **state)
{
    (void)state;
    struct worker_slot *owner = choose(SPAN("example.net"), 40, 1);
    assert_non_null(owner);
    for (int i = 0; i < 40; i++) {
        assert_true(choose(SPAN("example.net"), 40, 1) == owner);
        owner->jobs++;
    }
    assert_null(choose(SPAN("example.net"), 40, 1));
}

static void a_hop_is_spread_when_its_cap_needs_it(void **state)
{
    (void)state;
    struct worker_slot *owner = choose(SPAN("example.net"), 100, 1);
    owner->jobs = owner->room;
    struct worker_slot *second = choose(SPAN("example.net"), 100, 1);
    assert_non_null(second);
    assert_true(second != owner);
}

static void hops_that_nothing_good_is_known_of_have_a_part_of_the_room(void **state)
{
    (void)state;
    static const struct {
        enum hop_standing standing;
        unsigned jobs;
    } parts[] = { { HOP_NEW, 125 }, { HOP_FOUND, 125 }, { HOP_FAILING, 62 } };
    struct slot_wish wish = { SPAN("example.net"), HOP_KNOWN, 40 };
    struct worker_slot *owner = slots_choose(&slots, &wish, 1);
    owner->room = 1000;
    for (int i = 0; i < 3; i++) { /* each a part of its own */
        wish.standing = parts[i].standing;
        owner->jobs += owner->tried[wish.standing] = parts[i].jobs - 1;
        assert_true(slots_choose(&slots, &wish, 1) == owner);
        owner->jobs++;
        owner->tried[wish.standing]++;
        assert_null(slots_choose(&slots, &wish, 1));
    }
    wish.standing = HOP_KNOWN;
    assert_true(slots_choose(&slots, &wish, 1) == owner);
}

static void a_small_worker_tries_a_few(void **state)
{
    (void)state;
    struct slot_wish wish = { SPAN("example.net"), HOP_NEW, 1 };
    struct worker_slot *owner = slots_choose(&slots, &wish, 1);
    owner->room = 20;
    owner->tried[HOP_NEW] = 3;
    assert_true(slots_choose(&slots, &wish, 1) == owner);
    owner->tried[HOP_NEW] = 4;
    assert_null(slots_choose(&slots, &wish, 1));
}

static struct worker_slot *a_worker_with_room(unsigned room)
{
    struct worker_slot *slot = choose(SPAN("example.net"), 40, 1);
    slot->room = room;
    return slot;
}

static struct lease *take(struct worker_slot *slot, enum hop_standing standing, int64_t loop_ms)
{
    struct lease *lease = memory_new(sizeof(*lease));
    list_init(&lease->of_trials);
    lease->standing = standing;
    slots_take(slot, lease, loop_ms);
    return lease;
}

static void give_back(struct worker_slot *slot, struct lease *lease)
{
    slots_give_back(slot, lease);
    free(lease);
}

static void a_job_has_a_place_of_the_unknown_for_a_moment(void **state)
{
    (void)state;
    struct worker_slot *slot = a_worker_with_room(40);
    struct slot_wish wish = { SPAN("example.net"), HOP_NEW, 40 };
    struct lease *held[5], *known = take(slot, HOP_KNOWN, 0);
    for (int i = 0; i < 5; i++)
        held[i] = take(slot, HOP_NEW, i);
    assert_null(slots_choose(&slots, &wish, 1));
    assert_false(slots_park(&slots, SILENT_PARK_MS - 1));
    assert_true(slots_have_trials(&slots));
    assert_true(slots_park(&slots, SILENT_PARK_MS + 3)); /* all but the last */
    assert_int_equal(slot->tried[HOP_NEW], 1);
    assert_int_equal(slot->parked[HOP_NEW], 4);
    assert_int_equal(slot->tried[HOP_KNOWN], 1);
    assert_true(slots_choose(&slots, &wish, 1) == slot);
    for (int i = 0; i < 5; i++)
        give_back(slot, held[i]);
    give_back(slot, known);
    assert_false(slots_have_trials(&slots));
    assert_int_equal(slot->tried[HOP_NEW] + slot->parked[HOP_NEW] + slot->jobs, 0);
}

static void parked_jobs_leave_the_room_to_others(void **state)
{
    (void)state;
    struct worker_slot *slot = a_worker_with_room(4);
    struct lease *held[4];
    for (int i = 0; i < 4; i++)
        held[i] = take(slot, HOP_NEW, 0);
    assert_null(choose(SPAN("example.net"), 4, 1));
    assert_true(slots_park(&slots, SILENT_PARK_MS));
    assert_int_equal(slot->jobs, 4);
    assert_true(choose(SPAN("example.net"), 4, 1) == slot);
    for (int i = 0; i < 4; i++)
        give_back(slot, held[i]);
}

static void not_any_number_is_parked(void **state)
{
    (void)state;
    struct worker_slot *slot = a_worker_with_room(2);
    struct lease *held[10], *failing;
    assert_int_equal(slots_parked_max(2), SILENT_PER_CONNECTION);
    assert_int_equal(slots_parked_max(100000), SILENT_MAX);
    for (int i = 0; i < 10; i++)
        held[i] = take(slot, HOP_NEW, 0);
    failing = take(slot, HOP_FAILING, 0);
    assert_true(slots_park(&slots, SILENT_PARK_MS));
    assert_int_equal(slot->parked[HOP_NEW], 6);
    assert_int_equal(slot->parked[HOP_FAILING], 1); /* it has a part of its own */
    assert_false(slots_park(&slots, 2 * SILENT_PARK_MS));
    give_back(slot, held[0]);
    assert_true(slots_park(&slots, 2 * SILENT_PARK_MS)); /* one goes, the next is parked */
    assert_int_equal(slot->parked[HOP_NEW], 6);
    for (int i = 1; i < 10; i++)
        give_back(slot, held[i]);
    give_back(slot, failing);
}

/* ---- the lines ---------------------------------------------------------------------------- */

static void something_new_need_not_wait_for_a_backlog(void **state)
{
    (void)state;
    char name[32];
    hop_ring_init(&ring);
    for (unsigned i = 0; i < 1000; i++)
        hop_enter(&ring, hop_have(&ring, hop_called(i, name)), HOP_WAITING);
    struct hop *fresh = hop_have(&ring, SPAN("fresh.test"));
    hop_enter(&ring, fresh, HOP_FRESH);
    assert_int_equal(hops_in_turn(&ring), 1001);
    unsigned turns = 1;
    for (struct hop *hop; (hop = hop_in_turn(&ring)) != fresh; turns++)
        hop_leave(&ring, hop);
    assert_true(turns <= 2);
    hop_leave(&ring, fresh);
    struct hop *last = hop_find(&ring, SPAN("host999.test"));
    hop_enter(&ring, last, HOP_FRESH); /* mail comes for one that stands in the other line */
    assert_true(hop_in_turn(&ring) == last || hop_in_turn(&ring) == last);
    hop_ring_clear(&ring);
}

static void a_stream_of_new_mail_leaves_every_other_turn_to_the_backlog(void **state)
{
    (void)state;
    char name[32];
    hop_ring_init(&ring);
    struct hop *old = hop_have(&ring, SPAN("old.test"));
    hop_enter(&ring, old, HOP_WAITING);
    bool had = false;
    for (unsigned i = 0; i < 4 && !had; i++) {
        hop_enter(&ring, hop_have(&ring, hop_called(i, name)), HOP_FRESH);
        struct hop *hop = hop_in_turn(&ring);
        had = hop == old;
        hop_leave(&ring, hop);
    }
    assert_true(had);
    hop_ring_clear(&ring);
}

static void hops_that_answered_are_remembered_for_a_while(void **state)
{
    (void)state;
    char name[32];
    hop_ring_init(&ring);
    struct hop *silent = hop_have(&ring, SPAN("silent.test"));
    hop_forget_if_idle(&ring, silent, 0);
    assert_null(hop_find(&ring, SPAN("silent.test")));
    for (unsigned i = 0; i < 3000; i++) {
        struct hop *hop = hop_have(&ring, hop_called(i, name));
        hop->is_known = true;
        hop_forget_if_idle(&ring, hop, 0);
    }
    assert_null(hop_find(&ring, SPAN("host0.test"))); /* not for ever, nor all of them */
    struct hop *last = hop_find(&ring, SPAN("host2999.test"));
    assert_non_null(last);
    assert_int_equal(hops_in_turn(&ring), 0);
    hop_enter(&ring, last, HOP_FRESH);
    assert_true(hop_in_turn(&ring) == last);
    hop_ring_clear(&ring);
}

/* One message went, and by its rate nothing goes before `until_ms`; it has nothing under way. */
static void set_paced(unsigned nth, int64_t until_ms, int64_t now_ms)
{
    char name[32];
    struct hop *hop = hop_have(&ring, hop_called(nth, name));
    hop_leave(&ring, hop);
    hop->is_known = hop->is_paced = true;
    hop->paced_until_ms = until_ms;
    hop_forget_if_idle(&ring, hop, now_ms);
}

static bool is_remembered(unsigned nth)
{
    char name[32];
    return hop_find(&ring, hop_called(nth, name)) != NULL;
}

/* Those whose time has come have their turn, and have nothing. */
static void let_paced_go(int64_t now_ms)
{
    hops_enter_paced(&ring, UINT_MAX, now_ms);
    for (struct hop *hop; (hop = hop_in_turn(&ring)) != NULL;) {
        hop_leave(&ring, hop);
        hop_forget_if_idle(&ring, hop, now_ms);
    }
}

static void a_pace_is_kept_however_many_other_hops_are_idle(void **state)
{
    (void)state;
    struct message_rate rate = { 1, 3600 };
    int64_t now_ms = clock_utc_ms();
    hop_ring_init(&ring);
    struct hop *slow = hop_have(&ring, SPAN("slow.test"));
    pace_take(&slow->pace, rate, now_ms);
    slow->is_paced = true;
    slow->paced_until_ms = pace_next_ms(&slow->pace, rate, now_ms);
    hop_forget_if_idle(&ring, slow, now_ms);
    for (unsigned i = 0; i < 50000; i++) /* without a pace, with a short one, and with a long one */
        set_paced(i, now_ms + (i % 3 == 0 ? 0 : i % 3 == 1 ? 10 : HOUR_MS), now_ms + i / 50);
    assert_true(hop_find(&ring, SPAN("slow.test")) == slow);
    assert_int_equal(pace_tokens(&slow->pace, rate, now_ms + HOUR_MS - SECOND_MS), 0);
    assert_int_equal(pace_tokens(&slow->pace, rate, now_ms + HOUR_MS), 1);
    for (unsigned i = 2; i < 50000; i += 3)
        assert_true(is_remembered(i));
    assert_true(map_count(ring.by_name) <= 1 + 50000 / 3 + HOPS_IDLE_MAX + 10000);
    for (unsigned i = 0; i < 50000; i++) /* an hour later none of them matters any more */
        set_paced(i + 50000, 0, now_ms + 2 * HOUR_MS);
    let_paced_go(now_ms + 2 * HOUR_MS);
    assert_int_equal(map_count(ring.by_name), HOPS_IDLE_MAX);
    hop_ring_clear(&ring);
}

static void of_too_many_paces_the_one_that_matters_least_is_forgotten(void **state)
{
    (void)state;
    enum { MORE = 100 };
    int64_t now_ms = 1000;
    hop_ring_init(&ring);
    for (unsigned i = 0; i < HOPS_PACED_MAX + MORE; i++) /* in no order */
        set_paced(i, now_ms + 1 + (i * 7919U) % (HOPS_PACED_MAX + MORE), now_ms);
    assert_int_equal(map_count(ring.by_name), HOPS_PACED_MAX);
    for (unsigned i = 0; i < HOPS_PACED_MAX + MORE; i++)
        assert_int_equal(is_remembered(i), (i * 7919U) % (HOPS_PACED_MAX + MORE) >= MORE);
    hop_ring_clear(&ring);
}

static void a_pace_costs_no_hop_that_has_something_under_way(void **state)
{
    (void)state;
    hop_ring_init(&ring);
    struct hop *busy = hop_have(&ring, SPAN("busy.test"));
    busy->leases = 1;
    busy->is_paced = true;
    busy->paced_until_ms = 1;
    hop_forget_if_idle(&ring, busy, 0);
    assert_true(paced_first(&ring.paced) == busy);
    for (unsigned i = 0; i < HOPS_PACED_MAX; i++)
        set_paced(i, 1000, 0);
    assert_true(paced_first(&ring.paced) != busy);
    assert_true(hop_find(&ring, SPAN("busy.test")) == busy);
    assert_int_equal(map_count(ring.by_name), HOPS_PACED_MAX + 1);
    hop_ring_clear(&ring);
}

static void paced_hops_enter_the_ring_when_their_time_comes(void **state)
{
    (void)state;
    char name[32];
    hop_ring_init(&ring);
    for (unsigned i = 0; i < 1000; i++)
        set_paced(i, 1 + (i * 37) % 1000, 0);
    hop_find(&ring, SPAN("host0.test"))->leases = 1; /* its time comes first */
    hops_enter_paced(&ring, 100, 0);
    assert_int_equal(hops_in_turn(&ring), 0);
    hops_enter_paced(&ring, 100, 500); /* there is place for so many */
    assert_int_equal(hops_in_turn(&ring), 100);
    hops_enter_paced(&ring, 1000, 500);
    assert_int_equal(hops_in_turn(&ring), 500);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(hop_find(&ring, hop_called(i, name))->line,
                         (i * 37) % 1000 < 500 ? HOP_WAITING : HOP_PACED);
    assert_true(hop_in_turn(&ring) == hop_find(&ring, SPAN("host0.test")));
    hop_ring_clear(&ring);
}

static void a_hop_with_a_pace_takes_its_turn_again(void **state)
{
    (void)state;
    char name[32];
    hop_ring_init(&ring);
    for (unsigned i = 0; i < 1000; i++)
        set_paced(i, 1000 + (i * 37) % 1000, 0);
    for (unsigned i = 0; i < 1000; i += 2) {
        struct hop *hop = hop_find(&ring, hop_called(i, name));
        hop_enter(&ring, hop, HOP_FRESH);
        assert_true(hop_in_turn(&ring) == hop);
        set_paced(i, 3000, 0);
    }
    assert_int_equal(hops_in_turn(&ring), 0);
    int64_t last_ms = 0;
    for (struct hop *hop; (hop = paced_first(&ring.paced)) != NULL; hop_leave(&ring, hop)) {
        assert_true(hop->paced_until_ms >= last_ms);
        last_ms = hop->paced_until_ms;
    }
    assert_int_equal(last_ms, 3000);
    hop_ring_clear(&ring);
}

static void hops_are_spread_evenly(void **state)
{
    (void)state;
    unsigned counts[WORKERS] = { 0 };
    char room[32];
    for (unsigned i = 0; i < 4000; i++)
        counts[choose(hop_called(i, room), 40, 1)->instance]++;
    for (unsigned i = 0; i < WORKERS; i++)
        assert_true(counts[i] > 800 && counts[i] < 1200);
}

static void a_worker_that_goes_moves_only_its_own_hops(void **state)
{
    (void)state;
    unsigned before[1000];
    char room[32];
    for (unsigned i = 0; i < 1000; i++)
        before[i] = choose(hop_called(i, room), 40, 1)->instance;
    workers[2].takes_jobs = false;
    for (unsigned i = 0; i < 1000; i++) {
        unsigned after = choose(hop_called(i, room), 40, 1)->instance;
        assert_true(after == before[i] || before[i] == 2);
    }
}

static void a_suspect_gets_a_worker_that_has_nothing_else(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WORKERS; i++)
        workers[i].jobs = 1;
    assert_null(slots_idle(&slots, SPAN("example.net"), 1000));
    workers[3].jobs = 0;
    assert_true(slots_idle(&slots, SPAN("example.net"), 1000) == &workers[3]);
}

static void a_suspect_waits_not_for_ever(void **state)
{
    (void)state;
    struct worker_slot *owner = choose(SPAN("example.net"), 40, 1);
    for (unsigned i = 0; i < WORKERS; i++)
        workers[i].jobs = 1;
    assert_null(slots_idle(&slots, SPAN("example.net"), 1000));
    assert_true(choose(SPAN("example.net"), 40, 2000) == owner);
    assert_null(choose(SPAN("example.net"), 40, 40000)); /* it is being cleared */
    assert_true(choose(SPAN("example.net"), 40, 70000) == owner);
}

#define TEST(title, function)                                                                      \
    {                                                                                              \
        title, function, open_rig, close_rig, NULL                                                 \
    }
#define SLOT_TEST(title, function)                                                                 \
    {                                                                                              \
        title, function, make_workers, NULL, NULL                                                  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST("100,000 messages of one sender do not delay another's",
             a_flood_of_one_sender_does_not_delay_another),
        TEST("what has priority goes first, what has little last, and nobody starves (RFC 6710)",
             priority_goes_first_and_starves_none),
        TEST("senders take turns, each with its oldest message", senders_take_turns),
        TEST("a leased row is not found again until its lease ends",
             a_leased_row_is_not_found_again_until_its_lease_ends),
        TEST("new mail goes before retries and does not starve them",
             new_mail_goes_before_retries_and_starves_none),
        TEST("what is not due yet says when it will be", what_is_not_due_says_when_it_will_be),
        TEST("recipients of one message go together, 100 at most",
             recipients_of_one_message_go_together),
        TEST("a walk over all rows of a hop sees each that is free, and disturbs no turn",
             a_walk_over_all_rows_disturbs_no_turn),
        TEST("mail for a hop whose name begins alike is not touched",
             another_hops_mail_is_not_touched),
        SLOT_TEST("a hop belongs to one worker", a_hop_belongs_to_one_worker),
        SLOT_TEST("a hop is spread over more workers when its cap needs it",
                  a_hop_is_spread_when_its_cap_needs_it),
        SLOT_TEST("hops that nothing good is known of have a part of a worker's room",
                  hops_that_nothing_good_is_known_of_have_a_part_of_the_room),
        SLOT_TEST("a worker with little room tries a few of them", a_small_worker_tries_a_few),
        SLOT_TEST("a job has a place of those that nothing is known of for a moment only",
                  a_job_has_a_place_of_the_unknown_for_a_moment),
        SLOT_TEST("jobs that are parked leave a worker's room to others",
                  parked_jobs_leave_the_room_to_others),
        SLOT_TEST("not any number of jobs is parked, of failing hops fewer",
                  not_any_number_is_parked),
        SLOT_TEST("a hop with something new need not wait for a backlog",
                  something_new_need_not_wait_for_a_backlog),
        SLOT_TEST("a stream of new mail leaves every other turn to the backlog",
                  a_stream_of_new_mail_leaves_every_other_turn_to_the_backlog),
        SLOT_TEST("hops that answered are remembered for a while, the latest of them",
                  hops_that_answered_are_remembered_for_a_while),
        SLOT_TEST("a pace is kept however many other hops are idle, until it does not matter",
                  a_pace_is_kept_however_many_other_hops_are_idle),
        SLOT_TEST("of too many paces the one that matters least is forgotten",
                  of_too_many_paces_the_one_that_matters_least_is_forgotten),
        SLOT_TEST("a pace costs no hop that has something under way",
                  a_pace_costs_no_hop_that_has_something_under_way),
        SLOT_TEST("paced hops enter the ring when their time comes, as many as have place",
                  paced_hops_enter_the_ring_when_their_time_comes),
        SLOT_TEST("a hop with a pace takes its turn again, and the others keep their order",
                  a_hop_with_a_pace_takes_its_turn_again),
        SLOT_TEST("hops are spread evenly over workers", hops_are_spread_evenly),
        SLOT_TEST("a worker that goes moves only its own hops",
                  a_worker_that_goes_moves_only_its_own_hops),
        SLOT_TEST("a suspect gets a worker that has nothing else",
                  a_suspect_gets_a_worker_that_has_nothing_else),
        SLOT_TEST("a busy worker is cleared for a suspect, for a while only",
                  a_suspect_waits_not_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
