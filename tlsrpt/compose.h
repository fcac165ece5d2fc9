/*
 * compose - a report from what was counted: its document, and the message around it.  Called by the
 * tlsrpt role, to send, to copy and to show it.  Who reports comes from the settings.
 */
#ifndef WAXSEAL_TLSRPT_COMPOSE_H
#define WAXSEAL_TLSRPT_COMPOSE_H

#include "lib/base/settings.h"
#include "tlsrpt/report.h"
#include "tlsrpt/tally.h"

/* Which report, and as whose; all lent. */
struct compose_facts {
    const struct settings *settings;
    const struct subject *subject;
    struct span id; /* of report_make_id */
};

/*
 * Writes the document at the end of `out`, whose cap is REPORT_BODY_MAX or so.  *out_whole is false
 * when it did not fit.
 */
struct error *compose_report(struct tally *tally, const struct compose_facts *facts,
                             enum report_form form, struct buf *out, struct report_sum *out_sum,
                             bool *out_whole) MUST_CHECK;

/* The message around a packed one; `out`'s cap is REPORT_MAIL_MAX.  False: it did not fit. */
bool compose_mail(const struct compose_facts *facts, const struct report_sum *sum,
                  struct span report, struct span to, int64_t now_utc_ms,
                  struct buf *out) MUST_CHECK;

#endif
