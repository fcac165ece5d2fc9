/*
 * pool_key - what a session with an MX host is good for, and what mail needs of one.  Pure: asked
 * by pool for open sessions and by resumption for TLS sessions that are over.
 * Rule: a session opened with less assurance is never used for mail that needs more (design.md
 * section 3, pitfalls.md section 7.15); nor one whose certificate was judged with other roots.  So
 * domains share a session only where level and verified identity are what each of them asks for.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_POOL_KEY_H
#define WAXSEAL_QUEUE_DELIVER_POOL_KEY_H

#include "lib/base/limits.h"
#include "lib/base/network.h"
#include "policy/decide.h"
#include "queue/deliver/target.h"

enum assurance {
    ASSURANCE_NONE,      /* in clear, or nobody asked for more */
    ASSURANCE_ENCRYPTED, /* TLS, with whomever */
    ASSURANCE_MODERN,    /* the same, 1.2 at least */
    ASSURANCE_VERIFIED,  /* strict TLS, the certificate good for `identity` */
};

/* What a session is, or what mail needs of it. */
struct pool_key {
    struct endpoint remote; /* in a need, family NONE: any address of that MX host */
    char mx[DOMAIN_MAX + 1];
    enum assurance assurance;
    char identity[DOMAIN_MAX + 1]; /* the name that was verified, or must be; "" for none */
    uint64_t trust_generation;
    /*
     * TLSA records were asked for, or have to be, for the host's name is sure; and what they were
     * worth.  Where they could be used they alone have judged: that is nothing to mail of which
     * they say nothing, nor the other way.
     */
    bool is_sure;
    enum tlsa_worth worth;
    char domain[DOMAIN_MAX + 1]; /* by TLSA_USABLE: of this next hop's mail alone; "": of any */
    bool only_by_tlsa;           /* in a need: by nothing else may it go to this host */
    /* by whose word (target_chooser): with other routes' source, name and login nothing is shared
     */
    char chooser[TARGET_CHOOSER_SIZE];
    bool
        for_reports; /* of ours: no policy was asked for, and other mail shares nothing with them */
};

/* What mail needs of a session with the host `mx`, before connecting; any address of it will do. */
struct pool_key pool_key_needed(const struct sts_decision *decision, const char *mx, uint16_t port,
                                uint64_t trust_generation);

/* What a session with the host `mx` is, by the facts it came to: those that a policy is judged by.
 */
struct pool_key pool_key_had(const struct endpoint *remote, const char *mx, enum session_tls tls,
                             enum tls_floor floor, enum cert_verdict cert,
                             uint64_t trust_generation);

/* Is a session with the key `has` good for mail that needs `needs`? */
bool pool_key_serves(const struct pool_key *has, const struct pool_key *needs);

/* All of it as one text, equal where nothing differs: for a map.  Every member stands in it. */
enum { POOL_KEY_TEXT_SIZE = 3 * DOMAIN_MAX + NETWORK_TEXT_SIZE + TARGET_CHOOSER_SIZE + 64 };
struct span pool_key_text(const struct pool_key *key, char room[POOL_KEY_TEXT_SIZE]);

#endif
