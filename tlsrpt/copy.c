#include "tlsrpt/copy.h"

#include "lib/base/clock.h"
#include "lib/base/memory.h"
#include "lib/base/random.h"
#include "lib/ipc/role.h"
#include "tlsrpt/compose.h"
#include "tlsrpt/report_mail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct copy {
    struct buf mail;
    submit_done_fn *done;
    void *ctx;
};

static void on_submitted(void *ctx, bool taken, uint64_t id, const char *reason)
{
    struct copy *copy = ctx;

    copy->done(copy->ctx, taken, id, reason);
    buf_clear(&copy->mail);
    free(copy);
}

/* False: it is too large. */
static bool write_copy(const struct sending_tools *tools, const struct compose_facts *facts,
                       struct span to, struct buf *mail)
{
    struct report_sum sum;
    struct buf body;
    bool is_whole;

    buf_init(&body, REPORT_BODY_MAX);
    struct error *err = compose_report(tools->tally, facts, REPORT_PACKED, &body, &sum, &is_whole);
    if (err)
        role_die(ROLE_EXIT_TROUBLE, err);
    is_whole = is_whole && compose_mail(facts, &sum, buf_span(&body), to, clock_utc_ms(), mail);
    buf_clear(&body);
    return is_whole;
}

void copy_send(const struct sending_tools *tools, const struct subject *subject, struct span to,
               submit_done_fn *done, void *ctx)
{
    const struct settings *settings = tools->settings;
    struct copy *copy = memory_new(sizeof(*copy));
    struct compose_facts facts = { .settings = settings, .subject = subject };
    char id[REPORT_ID_SIZE], once[32];

    *copy = (struct copy){ .done = done, .ctx = ctx };
    buf_init(&copy->mail, REPORT_MAIL_MAX);
    report_make_id(subject->day, span_of(subject->domain), subject->of_host,
                   span_of(settings->hostname), id);
    facts.id = span_of(id);
    snprintf(once, sizeof(once), "copy %" PRIu64, random_below(UINT64_MAX));
    if (!write_copy(tools, &facts, to, &copy->mail))
        buf_reset(&copy->mail); /* see submit: what is empty is refused */
    const struct submit_facts submit_facts = {
        .settings = settings,
        .once = span_of(once),
        .to = to,
        .now_utc_ms = clock_utc_ms(),
        .content = buf_span(&copy->mail),
    };
    submit_start(tools->loop, tools->queue, &submit_facts, on_submitted, copy);
}
