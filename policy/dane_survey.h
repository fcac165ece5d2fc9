/*
 * dane_survey - do all MX hosts of a domain have DANE?  Called by policy/inquiry, which has to say
 * one thing for all of them.  The hosts are looked at one after another, and no more of them when
 * one without usable TLSA records is found; without secure MX records none is.
 * Rules: RFC 7672 s.2.2; rfc/socketmap-and-policy-maps.md MAP-54.
 */
#ifndef WAXSEAL_POLICY_DANE_SURVEY_H
#define WAXSEAL_POLICY_DANE_SURVEY_H

#include "lib/io/resolver.h"
#include "policy/postfix_answer.h"

struct dane_survey;

/* `ttl_s`: so long what was found holds. */
typedef void dane_survey_done_fn(void *ctx, enum postfix_dane dane, uint32_t ttl_s);

/* `done` is called exactly once, from the loop, unless cancelled; then the survey frees itself. */
struct dane_survey *dane_survey_start(struct loop *loop, struct resolver *resolver,
                                      const char *domain, uint16_t port, dane_survey_done_fn *done,
                                      void *ctx);
void dane_survey_cancel(struct dane_survey **survey); /* NULL: nothing to do */

#endif
