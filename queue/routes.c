#include "queue/routes.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/memory.h"
#include "lib/ipc/channel.h"

static struct routing_facts facts_of(const Ipc__Envelope *envelope, struct span domain)
{
    const Ipc__Mailbox *sender = envelope ? envelope->reverse_path : NULL;
    struct routing_facts facts = { .domain = domain };

    facts.sender_domain = sender ? span_of_bytes(sender->domain) : SPAN("");
    if (envelope) {
        facts.listener = span_of_bytes(envelope->listener);
        facts.user = span_of_bytes(envelope->user);
    }
    return facts;
}

struct routing_facts routes_facts(const Ipc__Envelope *envelope,
                                  const Queue__RecipientRecord *recipient)
{
    struct routing_facts facts =
        facts_of(envelope, span_of_bytes(recipient->recipient->forward_path->domain));

    facts.override = span_of_bytes(recipient->override_hop);
    return facts;
}

struct routing_facts routes_facts_of_ask(const Ipc__Envelope *envelope,
                                         const struct address *mailbox)
{
    return facts_of(envelope, span_of(mailbox->domain));
}

struct routing_facts routes_facts_of_new(const struct envelope *envelope,
                                         const struct address *forward_path)
{
    return (struct routing_facts){
        .domain = span_of(forward_path->domain),
        .sender_domain = span_of(envelope->reverse_path.domain),
        .listener = span_of(envelope->listener),
        .user = span_of(envelope->user),
    };
}

bool routes_end(const struct route_settings *route)
{
    return route && (route->to == ROUTE_TO_DISCARD || route->to == ROUTE_TO_ERROR);
}

/* Of discarded mail its sender hears only when it asked to (RFC 3461 s.4.1). */
static void fill(const struct route_settings *route, const char *discarded, Ipc__Result *result)
{
    struct span status = SPAN("2.0.0"), words = span_of(discarded);

    result->kind = IPC__RESULT_KIND__DELIVERED;
    result->cause = IPC__CAUSE__DISCARDED;
    if (route->to == ROUTE_TO_ERROR) {
        result->kind = IPC__RESULT_KIND__FAILED;
        result->cause = IPC__CAUSE__ROUTE;
        routing_error(route, &status, &words);
    }
    result->status = bytes_of_span(status);
    result->reply = bytes_of_span(words);
}

/* In pieces of memory of its own, as one that came from a worker. */
static Ipc__Outcome *copy_of(const Ipc__Outcome *outcome)
{
    size_t size = ipc__outcome__get_packed_size(outcome);
    uint8_t *packed = memory_new(size);

    ipc__outcome__pack(outcome, packed);
    Ipc__Outcome *copy = ipc__outcome__unpack(NULL, size, packed);
    free(packed);
    ensure(copy != NULL);
    return copy;
}

Ipc__Outcome *routes_outcome(const struct route_settings *route, const struct lease *lease,
                             int64_t now_ms)
{
    char discarded[SETTINGS_LABEL_SIZE + 32];
    Ipc__Outcome outcome = IPC__OUTCOME__INIT;
    Ipc__Decision decision = IPC__DECISION__INIT;
    Ipc__Result *results = memory_new_array(lease->count, sizeof(*results));
    Ipc__Result **pointers = memory_new_array(lease->count, sizeof(Ipc__Result *));

    snprintf(discarded, sizeof(discarded), "discarded by route %s", route->name);
    for (unsigned i = 0; i < lease->count; i++) {
        ipc__result__init(&results[i]);
        results[i].number = lease->numbers[i];
        fill(route, discarded, &results[i]);
        pointers[i] = &results[i];
    }
    decision.at_utc_ms = now_ms;
    decision.route = bytes_of_span(span_of(route->name));
    outcome.lease = lease->number;
    outcome.id = lease->id;
    outcome.decision = &decision;
    outcome.results = pointers;
    outcome.n_results = lease->count;
    Ipc__Outcome *copy = copy_of(&outcome);
    free(pointers);
    free(results);
    return copy;
}
