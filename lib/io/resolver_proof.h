/*
 * resolver_proof - shows from time to time that trusted resolvers validate: the root's DNSKEY and
 * the denial of a top-level name that nobody has must both come with AD, and a name that is known
 * to be bogus, where one is configured, must not resolve (design.md section 5).  The resolver asks
 * nothing else until the first proof has ended, or some seconds have passed; unless it holds no
 * answer is secure, and DANE is off.  Owned by the roles that ask about hosts; lent the resolver.
 */
#ifndef WAXSEAL_IO_RESOLVER_PROOF_H
#define WAXSEAL_IO_RESOLVER_PROOF_H

#include "lib/base/json.h"
#include "lib/io/resolver.h"

struct resolver_proof;
struct resolver_proof *resolver_proof_new(struct loop *loop, struct resolver *resolver);
void resolver_proof_free(struct resolver_proof **proof);

/* At the beginning, and when servers or settings have changed.  `bogus_name`: copied; "": none. */
void resolver_proof_start(struct resolver_proof *proof, const char *bogus_name);

/* Why no answer is secure; "" while answers may be.  Lent until the next proof. */
const char *resolver_proof_trouble(const struct resolver_proof *proof);

/* For operators: state ("on", "off", "starting"), reason (null when on), since, checked. */
struct json *resolver_proof_json(const struct resolver_proof *proof);

/* What the answers say.  Trouble shows nothing: whoever makes it must not turn DANE off. */
enum proof_verdict { PROOF_HOLDS, PROOF_FAILS, PROOF_IS_OPEN };
struct proof_fact {
    bool is_asked;
    enum dns_outcome outcome;
    bool secure;
};
struct proof_facts {
    struct proof_fact root;   /* its DNSKEY */
    struct proof_fact denial; /* a top-level name that nobody has */
    struct proof_fact bogus;  /* where one is configured */
};
/* *out_reason is static, and "" when it holds.  Pure. */
enum proof_verdict resolver_proof_judge(const struct proof_facts *facts, const char **out_reason);
/* What stands then: with several servers when none fails and one at least holds.  Pure. */
enum resolver_standing resolver_proof_standing(enum resolver_standing before,
                                               enum proof_verdict verdict);

#endif
