/*
 * host_lookup - all that DNS says of one MX host before somebody connects to it: its addresses, and
 * then, where these and its name are secure, its TLSA records.  Called by deliver for each
 * candidate, by explain and by the socketmap.  The questions are those of lib/io/addresses, then
 * those of lib/mail/tlsa_walk.
 * Rules: RFC 7672 s.2.2; rfc/dane-smtp.md sections 2 to 5.
 */
#ifndef WAXSEAL_IO_HOST_LOOKUP_H
#define WAXSEAL_IO_HOST_LOOKUP_H

#include "lib/io/addresses.h"
#include "lib/mail/tlsa.h"

struct host_lookup;

struct host_question {
    const char *host; /* lent for the call, like `filter` */
    uint16_t port;    /* that the connection will be to */
    /*
     * Its name is not of an attacker's choice: the MX answer of the next hop was secure
     * (struct route), also when it said that there is none (DANE-27), or the administrator named
     * the host.  Else no TLSA record is asked for.
     */
    bool name_is_sure;
    bool name_in_doubt; /* nobody can say whether it was (struct route) */
    const struct address_filter *filter;
};

struct host_answer {
    const struct addresses *addresses; /* without one nothing below is known */
    /*
     * The TLSA records could not be known: as if the host could not be reached (DANE-12).  Nor are
     * those that have been found where something on the way to them is in doubt.
     */
    bool tlsa_failed;
    enum tlsa_worth worth;
    const struct tlsa_set *tlsa; /* NULL with TLSA_NOT_APPLICABLE; tlsa_set_keep keeps it */
    /* A sentence's part: why TLSA records do not decide, or are not known; "" where they do. */
    const char *reason;
};

/* The reason where nothing can be secure: DNSSEC is off (lib/io/resolver_proof). */
extern const char host_lookup_off[];

/* `answer` and all in it is lent. */
typedef void host_lookup_done_fn(void *ctx, const struct host_answer *answer);

/* `done` is called exactly once, from the loop, unless cancelled; then the lookup frees itself. */
struct host_lookup *host_lookup_start(struct loop *loop, struct resolver *resolver,
                                      const struct host_question *question,
                                      host_lookup_done_fn *done, void *ctx);
void host_lookup_cancel(struct host_lookup **lookup); /* NULL: nothing to do */

#endif
