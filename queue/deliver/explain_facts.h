/*
 * explain_facts - what `waxseal explain` found out about one MX candidate, as plain values.
 * Filled by explain_host; read by the pure explain_words and explain_json.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_EXPLAIN_FACTS_H
#define WAXSEAL_QUEUE_DELIVER_EXPLAIN_FACTS_H

#include "lib/io/host_lookup.h"
#include "queue/deliver/plan.h"
#include "queue/deliver/verdict.h"

enum explain_contact {
    CONTACT_NONE,   /* nobody was to contact it, or nothing was there to contact */
    CONTACT_FAILED, /* no session came about that could be judged: `said` tells why */
    CONTACT_JUDGED, /* a session was as secure as it would be, or its handshake failed */
};

struct explain_facts {
    const struct plan *plan;
    unsigned candidate;

    /* from DNS; with is_known only */
    bool is_known;
    struct addresses addresses;
    bool tlsa_failed;
    enum tlsa_worth worth;
    struct tlsa_set *tlsa; /* counted; NULL: none speak */
    char tlsa_reason[160]; /* why they do not decide */

    /* the decision before connecting, */
    struct sts_facts facts;
    struct sts_decision decision;
    /* the one about the first session: it is what reports count, */
    enum explain_contact contact;
    struct sts_decision judged;
    /* and what it came to in the end, perhaps lower */
    bool may_go; /* mail would go over it */
    char address[NETWORK_TEXT_SIZE];
    struct tls_session session; /* with facts.tls SESSION_TLS_ON */
    const char *level;
    char said[VERDICT_WORDS_SIZE]; /* by the host, or what failed */

    /* this relay itself, than which it is no better: mail is not to go to it; NULL: none */
    const char *behind_own;
};

/*
 * Of all candidates: sets behind_own of those that a delivery leaves out, as far as they are not
 * this relay themselves (RFC 5321 s.5.1), and drops what contacting them came to.
 */
void explain_cut_own(struct explain_facts *const *all, unsigned count);

/* Its name in DNS. */
const char *explain_mx(const struct explain_facts *f);

/* May mail try it, as far as is known without contacting it? */
bool explain_is_open(const struct explain_facts *f);
/* Would mail go there?  Without contact: is nothing known against it? */
bool explain_is_usable(const struct explain_facts *f);

/* What mail for the whole next hop can expect. */
enum explain_verdict {
    EXPLAIN_SECURE,      /* it goes, and nowhere with less than a verified session */
    EXPLAIN_DELIVERABLE, /* it goes */
    EXPLAIN_NOWHERE,     /* not now */
};
enum explain_verdict explain_verdict_of(const struct explain_facts *const *all, unsigned count);

#endif
