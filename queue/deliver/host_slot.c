#include "queue/deliver/host_slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/base/memory.h"
#include "lib/ipc/channel.h"

enum {
    SAID_WORDS_MAX = 160,
    SAID_AT_ONCE = 512, /* with the longest names a frame holds some 600 asks */
    HELLO_BYTES_MAX = FRAME_MESSAGE_MAX / 2,
};

struct host_slot {
    struct host_slots *table;
    struct list said; /* among those of which something is to be said */
    uint64_t number;
    char *hop;
    struct slot_hosts hosts;
    unsigned chosen;
    unsigned others;
    bool is_granted;
    bool is_asked;      /* the queue knows of it */
    enum lesson lesson; /* known of the host */
    bool lesson_is_new; /* and to be said */
    bool stands;
    bool stands_said;
    bool is_over; /* given back: only the report still needs it */
    bool is_refused;
    char words[SAID_WORDS_MAX];
    host_slot_granted_fn *granted;
    void *ctx;
};

struct host_slots {
    struct loop *loop;
    struct map *by_number;
    struct list said;
    unsigned said_count;
    struct loop_task task;
    uint64_t last_number;
    host_slots_send_fn *send;
    void *ctx;
};

/* ---- what is said at the end of a turn ------------------------------------------------------- */

struct report {
    Ipc__SlotReport message;
    Ipc__SlotBack *backs;
    Ipc__SlotAsk *asks;
    Ipc__SlotLesson *lessons;
    ProtobufCBinaryData *hosts;
    size_t hosts_count;
};

static void report_init(struct report *r, size_t most)
{
    ipc__slot_report__init(&r->message);
    r->hosts_count = 0;
    r->message.standing = memory_new_array(most, sizeof(uint64_t));
    r->message.backs = memory_new_array(most, sizeof(Ipc__SlotBack *));
    r->message.asks = memory_new_array(most, sizeof(Ipc__SlotAsk *));
    r->message.lessons = memory_new_array(most, sizeof(Ipc__SlotLesson *));
    r->backs = memory_new_array(most, sizeof(Ipc__SlotBack));
    r->asks = memory_new_array(most, sizeof(Ipc__SlotAsk));
    r->lessons = memory_new_array(most, sizeof(Ipc__SlotLesson));
    r->hosts = memory_new_array(most * SLOT_HOSTS_MAX, sizeof(ProtobufCBinaryData));
}

static void report_clear(struct report *r)
{
    free(r->message.standing);
    free(r->message.backs);
    free(r->message.asks);
    free(r->message.lessons);
    free(r->backs);
    free(r->asks);
    free(r->lessons);
    free(r->hosts);
}

static void report_back(struct report *r, const struct host_slot *slot)
{
    Ipc__SlotBack *back = &r->backs[r->message.n_backs];

    ipc__slot_back__init(back);
    back->number = slot->number;
    back->refused = slot->is_refused;
    back->words = bytes_of_span(span_of(slot->words));
    r->message.backs[r->message.n_backs++] = back;
}

static void report_ask(struct report *r, const struct host_slot *slot)
{
    Ipc__SlotAsk *ask = &r->asks[r->message.n_asks];

    ipc__slot_ask__init(ask);
    ask->number = slot->number;
    ask->hop = bytes_of_span(span_of(slot->hop));
    ask->hosts = &r->hosts[r->hosts_count];
    ask->n_hosts = slot->hosts.count;
    for (unsigned i = 0; i < slot->hosts.count; i++)
        r->hosts[r->hosts_count++] = bytes_of_span(span_of(slot->hosts.names[i]));
    r->message.asks[r->message.n_asks++] = ask;
}

static void report_lesson(struct report *r, const struct host_slot *slot)
{
    Ipc__SlotLesson *lesson = &r->lessons[r->message.n_lessons];

    ipc__slot_lesson__init(lesson);
    lesson->number = slot->number;
    lesson->tls = (Ipc__HostTls)slot->lesson;
    r->message.lessons[r->message.n_lessons++] = lesson;
}

static void report_slot(struct report *r, const struct host_slot *slot)
{
    if (slot->lesson_is_new)
        report_lesson(r, slot);
    if (slot->stands && !slot->stands_said)
        r->message.standing[r->message.n_standing++] = slot->number;
    if (slot->is_over)
        report_back(r, slot);
    else if (!slot->is_asked)
        report_ask(r, slot);
}

static void slot_destroy(struct host_slot *slot)
{
    list_remove(&slot->said);
    free(slot->hop);
    free(slot);
}

/* It was said, or there is nobody to hear it: then a later hello says how it stands. */
static void said(struct host_slots *slots, unsigned count, bool was_sent)
{
    slots->said_count -= count;
    for (; count > 0; count--) {
        struct host_slot *slot = LIST_FIRST(&slots->said, struct host_slot, said);
        list_remove(&slot->said);
        slot->stands_said = slot->stands;
        slot->lesson_is_new = slot->lesson_is_new && !was_sent;
        slot->is_asked = slot->is_asked || was_sent;
        if (slot->is_over)
            slot_destroy(slot);
    }
}

static void on_turn(void *ctx)
{
    struct host_slots *slots = ctx;
    struct report report;
    const struct host_slot *slot;
    unsigned count = 0;

    report_init(&report, slots->said_count + 1);
    LIST_EACH(slot, &slots->said, const struct host_slot, said)
    {
        if (count == SAID_AT_ONCE)
            break;
        report_slot(&report, slot);
        count++;
    }
    said(slots, count, slots->send(slots->ctx, &report.message));
    report_clear(&report);
    if (!list_empty(&slots->said))
        loop_defer(slots->loop, &slots->task);
}

static void say(struct host_slot *slot)
{
    if (!list_empty(&slot->said))
        return;
    list_append(&slot->table->said, &slot->said);
    slot->table->said_count++;
    loop_defer(slot->table->loop, &slot->table->task);
}

/* ---- the table ------------------------------------------------------------------------------ */

struct host_slots *host_slots_new(struct loop *loop, host_slots_send_fn *send, void *ctx)
{
    struct host_slots *slots = memory_new(sizeof(*slots));

    slots->loop = loop;
    slots->by_number = map_new();
    list_init(&slots->said);
    loop_task_init(&slots->task, on_turn, slots);
    slots->send = send;
    slots->ctx = ctx;
    return slots;
}

void host_slots_free(struct host_slots **slots)
{
    struct host_slot *slot;

    if (!*slots)
        return;
    loop_task_cancel(&(*slots)->task);
    LIST_EACH(slot, &(*slots)->said, struct host_slot, said)
    if (slot->is_over)
        slot_destroy(slot);
    map_free(&(*slots)->by_number);
    free(*slots);
    *slots = NULL;
}

static void hello_add(Ipc__WorkerHello *hello, Ipc__SlotHeld *held, struct host_slot *slot)
{
    ipc__slot_held__init(held);
    held->number = slot->number;
    held->hop = bytes_of_span(span_of(slot->hop));
    held->host = bytes_of_span(span_of(slot->hosts.names[slot->chosen]));
    held->standing = slot->stands;
    slot->stands_said = slot->stands;
    hello->slots[hello->n_slots++] = held;
}

void host_slots_hello(struct host_slots *slots, Ipc__WorkerHello *hello)
{
    size_t count = map_count(slots->by_number) + 1;
    Ipc__SlotHeld *held = memory_new_array(count, sizeof(*held));
    struct host_slot *slot;
    size_t cursor = 0, bytes = 0;

    hello->slots = memory_new_array(count, sizeof(Ipc__SlotHeld *));
    hello->slots[0] = held;
    while ((slot = map_next(slots->by_number, &cursor, NULL)) != NULL && bytes < HELLO_BYTES_MAX) {
        if (!slot->is_granted)
            continue;
        hello_add(hello, &held[hello->n_slots], slot);
        bytes += ipc__slot_held__get_packed_size(&held[hello->n_slots - 1]) + 4;
    }
}

void host_slots_ask_again(struct host_slots *slots)
{
    struct host_slot *slot;
    size_t cursor = 0;

    while ((slot = map_next(slots->by_number, &cursor, NULL)) != NULL) {
        if (slot->is_granted)
            continue;
        slot->is_asked = false;
        say(slot);
    }
}

void host_slots_hello_clear(Ipc__WorkerHello *hello)
{
    if (hello->slots)
        free(hello->slots[0]);
    free(hello->slots);
    hello->slots = NULL;
    hello->n_slots = 0;
}

static void take(struct host_slots *slots, const Ipc__SlotGrant *grant)
{
    struct host_slot *slot = map_get_number(slots->by_number, grant->number);

    if (!slot || slot->is_granted || grant->host >= slot->hosts.count)
        return; /* it was given back meanwhile */
    slot->is_granted = true;
    slot->chosen = grant->host;
    slot->others = grant->others;
    slot->lesson =
        grant->tls <= IPC__HOST_TLS__HOST_TLS_LEGACY ? (enum lesson)grant->tls : LESSON_NONE;
    slot->granted(slot->ctx);
}

void host_slots_take(struct host_slots *slots, const Ipc__SlotGrants *grants)
{
    for (size_t i = 0; i < grants->n_grants; i++)
        take(slots, grants->grants[i]);
}

/* ---- one of them ---------------------------------------------------------------------------- */

void slot_hosts_add(struct slot_hosts *hosts, const char *name)
{
    char *room = hosts->names[hosts->count < SLOT_HOSTS_MAX ? hosts->count : 0];

    if (hosts->count >= SLOT_HOSTS_MAX)
        return;
    snprintf(room, DOMAIN_MAX + 1, "%s", name);
    for (char *c = room; *c != '\0'; c++)
        *c = ascii_lower(*c);
    for (unsigned i = 0; i < hosts->count; i++)
        if (strcmp(hosts->names[i], room) == 0)
            return;
    hosts->count++;
}

struct host_slot *host_slot_ask(struct host_slots *slots, const char *hop,
                                const struct slot_hosts *hosts, host_slot_granted_fn *granted,
                                void *ctx)
{
    struct host_slot *slot = memory_new(sizeof(*slot));

    slot->table = slots;
    slot->number = ++slots->last_number;
    slot->hop = memory_copy_text(hop);
    slot->hosts = *hosts;
    slot->granted = granted;
    slot->ctx = ctx;
    list_init(&slot->said);
    map_put_number(slots->by_number, slot->number, slot);
    say(slot);
    return slot;
}

void host_slot_free(struct host_slot **slot)
{
    struct host_slot *s = *slot;

    *slot = NULL;
    if (!s)
        return;
    map_remove_number(s->table->by_number, s->number);
    if (!s->is_asked) { /* nobody has heard of it */
        s->table->said_count -= !list_empty(&s->said);
        slot_destroy(s);
        return;
    }
    s->is_over = true;
    say(s);
}

const char *host_slot_host(const struct host_slot *slot)
{
    return slot->is_granted ? slot->hosts.names[slot->chosen] : NULL;
}

bool host_slot_is_for(const struct host_slot *slot, const char *host)
{
    return slot && slot->is_granted &&
           span_equal_nocase(span_of(slot->hosts.names[slot->chosen]), span_of(host));
}

bool host_slot_has_others(const struct host_slot *slot)
{
    return slot->others > 0;
}

enum lesson host_slot_lesson(const struct host_slot *slot)
{
    return slot ? slot->lesson : LESSON_NONE;
}

void host_slot_learned(struct host_slot *slot, enum lesson lesson)
{
    if (!slot || lesson == LESSON_NONE || lesson == slot->lesson)
        return;
    slot->lesson = lesson;
    slot->lesson_is_new = true;
    say(slot);
}

void host_slot_stands(struct host_slot *slot)
{
    if (!slot)
        return;
    slot->is_refused = false;
    slot->stands = true;
    if (!slot->stands_said)
        say(slot);
}

void host_slot_refused(struct host_slot *slot, struct span words)
{
    if (!slot)
        return;
    slot->is_refused = true;
    span_to_string(span_first(words, SAID_WORDS_MAX - 1), slot->words, sizeof(slot->words));
}

bool host_slot_is_refused(const struct host_slot *slot)
{
    return slot && slot->is_refused;
}
