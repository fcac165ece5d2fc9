/*
 * resolver - asks the configured DNS servers and gives parsed answers (lib/mail/dns_message);
 * c-ares behind it (pitfalls.md section 3).  No search lists, no hosts file, absolute names only.
 */
#ifndef WAXSEAL_IO_RESOLVER_H
#define WAXSEAL_IO_RESOLVER_H

#include "lib/base/network.h"
#include "lib/base/settings.h"
#include "lib/io/loop.h"
#include "lib/mail/dns_message.h"

struct resolver;
struct resolver_query;

/*
 * A resolver for these servers, asked in the order of their health.  `trusted` says whether their
 * AD bit may count (design.md section 5); it does when they have shown that they validate, too.
 */
struct error *resolver_new(struct loop *loop, const struct endpoint *servers, unsigned server_count,
                           bool trusted, struct resolver **out_resolver) MUST_CHECK;
void resolver_free(struct resolver **resolver);

/* Other servers from now on; questions under way end with the old ones. */
struct error *resolver_servers(struct resolver *resolver, const struct endpoint *servers,
                               unsigned server_count, bool trusted) MUST_CHECK;

/*
 * What is known of the servers' validation; lib/io/resolver_proof finds it out and says it here.
 * An answer is secure when it bears AD, the servers are trusted, the standing is PROVEN, and
 * nothing is to be doubted of the server that gave it.
 */
enum resolver_standing {
    RESOLVER_UNPROVEN, /* at the beginning, and again with other servers */
    RESOLVER_IN_DOUBT, /* nothing could be shown: an answer with AD calls for a proof */
    RESOLVER_ON_PROOF, /* questions wait, each until its deadline at most */
    RESOLVER_PROVEN,
};
void resolver_set_standing(struct resolver *resolver, enum resolver_standing standing);
/* It has failed, or could show nothing yet. */
void resolver_set_doubted(struct resolver *resolver, unsigned server, bool is_doubted);
/*
 * A question is called in whose answer bears AD in doubt, or from a server that is doubted:
 * `wanted` begins a proof, the standing is ON_PROOF until that has come to something, and the
 * question is then asked once more.
 */
typedef void resolver_proof_wanted_fn(void *ctx);
void resolver_on_proof_wanted(struct resolver *resolver, resolver_proof_wanted_fn *wanted,
                              void *ctx);
bool resolver_is_trusted(const struct resolver *resolver);
/* Can any answer be secure just now?  Trusted, and not known to fail the proof. */
bool resolver_has_dnssec(const struct resolver *resolver);
unsigned resolver_server_count(const struct resolver *resolver);
struct endpoint resolver_server(const struct resolver *resolver, unsigned server);

/* `answer` is lent.  An outcome always comes: TEMPFAIL at the latest after RESOLVER_DEADLINE_MS. */
typedef void resolver_done_fn(void *ctx, const struct dns_answer *answer);
enum { RESOLVER_DEADLINE_MS = 20 * 1000 };

/*
 * Asks for the records of `type` at `name` (text, A-labels, final dot optional); CNAMEs are
 * followed. `done` is called exactly once, from the loop, unless cancelled; then the query frees
 * itself.
 */
struct resolver_query *resolver_ask(struct resolver *resolver, struct span name, enum dns_type type,
                                    resolver_done_fn *done, void *ctx);
void resolver_cancel(struct resolver_query **query);
/*
 * The same for a proof: put to that server alone, whatever the standing, and secure by the AD of
 * trusted servers alone.  The root may be asked for, too (".").
 */
struct resolver_query *resolver_ask_for_proof(struct resolver *resolver, unsigned server,
                                              struct span name, enum dns_type type,
                                              resolver_done_fn *done, void *ctx);

/* The servers named by a resolv.conf text; the first SETTINGS_RESOLVERS_MAX; pure. */
unsigned resolver_servers_of(struct span resolv_conf, struct endpoint *out, unsigned max);

/*
 * The servers to ask: those of the settings, else of the resolv.conf text, else the one on this
 * machine (resolv.conf(5)).  Trusted are those on loopback alone (rfc/dns.md DNS-21).  Pure.
 */
unsigned resolver_servers_for(const struct settings *settings, struct span resolv_conf,
                              struct endpoint out[SETTINGS_RESOLVERS_MAX], bool *out_trusted);

#endif
