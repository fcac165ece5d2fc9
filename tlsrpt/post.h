/*
 * post - hands a report to a destination by HTTPS POST (RFC 8460 s.5.4; rfc/tls-rpt.md section 10).
 * Called by the tlsrpt role.  The host is a stranger's choice: its addresses come from our own
 * resolver, internal ones and this machine's own are refused (pitfalls.md section 7.9), no redirect
 * is followed, no proxy asked, 16 KiB of the answer are read, and all ends within POST_WAIT_MS.  A
 * certificate that does not hold does not stop a report (RPT-86: who set it up wrongly should hear
 * of it all the more); the result says so.
 */
#ifndef WAXSEAL_TLSRPT_POST_H
#define WAXSEAL_TLSRPT_POST_H

#include "lib/base/settings.h"
#include "lib/io/http.h"
#include "lib/io/resolver.h"
#include "tlsrpt/destination.h"
#include "tlsrpt/report.h"

struct post;

enum {
    POST_WAIT_MS = 60 * 1000,    /* for all of it (RPT-88) */
    POST_ANSWER_MAX = 16 * 1024, /* bytes of the answer that are read */
};

/* What does the posting; loop, resolver and http stay the caller's and outlive it. */
struct post_tools {
    struct loop *loop;
    struct resolver *resolver;
    struct http *http;
    const struct network_list *allow; /* mx-allow: internal networks that may be reached */
};

struct post_result {
    bool taken;           /* the host answered 2xx: never send it again */
    int status;           /* of its answer; 0: there was none */
    char reason[240];     /* for people: what came of it; never empty */
    char certificate[64]; /* what is wrong with the host's certificate: OpenSSL's name; or "" */
};

/* `result` is lent. */
typedef void post_done_fn(void *ctx, const struct post_result *result);

/*
 * Posts `body`, which stays the caller's until `done` or cancel.  `done` is called exactly once,
 * from the loop, unless cancelled.
 */
struct post *post_start(const struct post_tools *tools, const struct destination *to,
                        enum report_form form, struct span body, post_done_fn *done, void *ctx);
void post_cancel(struct post **post);

/* Is a report with such an answer delivered (RPT-87)?  With any other it is tried again for a day
 * (RFC 8460 s.5.5). */
static inline bool post_is_taken(int status)
{
    return status >= 200 && status <= 299;
}

#endif
