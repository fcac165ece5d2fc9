/*
 * fuzz_session_event - what a captured worker may tell tlsrpt of a session: either refused, or
 * counted in a form that is bounded and always the same.
 */
#include "lib/base/error.h"
#include "tlsrpt/counts.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct span domain = { "a.test", 6 };

static void check_words(const Ipc__SessionEvent *event)
{
    ensure(event->domain.len == 0 && event->policy_domain.len <= DOMAIN_MAX);
    for (size_t i = 0; i < event->n_failures; i++) {
        ensure(event->failures[i]->mx_host.len <= COUNTS_TEXT_MAX);
        ensure(event->failures[i]->mx_helo.len <= COUNTS_TEXT_MAX);
        ensure(event->failures[i]->additional.len <= COUNTS_TEXT_MAX);
        ensure(event->failures[i]->reason.len <= COUNTS_TEXT_MAX);
    }
}

/* What was packed packs into the same bytes again, and tells the same policy. */
static void check_packed(struct span packed)
{
    Ipc__SessionEvent *event =
        ipc__session_event__unpack(NULL, packed.len, (const uint8_t *)packed.data);
    struct counts_digest one, other;
    struct buf again;

    ensure(event != NULL);
    check_words(event);
    one = counts_policy_digest(event);
    buf_init(&again, 1 << 20);
    counts_pack(event, domain, &again);
    ensure(span_equal(buf_span(&again), packed));
    other = counts_policy_digest(event);
    ensure(memcmp(&one, &other, sizeof(one)) == 0);
    buf_clear(&again);
    ipc__session_event__free_unpacked(event, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Ipc__SessionEvent *event = ipc__session_event__unpack(NULL, size, data);
    struct buf packed;

    if (!event)
        return 0;
    buf_init(&packed, 1 << 20);
    if (counts_is_valid(event)) {
        counts_pack(event, domain, &packed);
        check_packed(buf_span(&packed));
    }
    buf_clear(&packed);
    ipc__session_event__free_unpacked(event, NULL);
    return 0;
}
