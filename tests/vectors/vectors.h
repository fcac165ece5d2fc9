/*
 * vectors - what the areas of run_vectors have in common: a vector's input in, what the product
 * made of it out, in the words of the vectors' README.
 */
#ifndef WAXSEAL_TESTS_VECTORS_VECTORS_H
#define WAXSEAL_TESTS_VECTORS_VECTORS_H

#include "lib/base/span.h"

#include <jansson.h>

/*
 * One area: its name, and what runs a vector.  `judge` gives a new value to compare with expect;
 * NULL: it does not know what is given, and the vector is not run, which is said.
 */
struct area {
    const char *name;
    json_t *(*judge)(const json_t *given);
    /* Is `got` what one alternative of `expect` demands? */
    bool (*agrees)(const json_t *expect, const json_t *got);
};

/* A text in JSON; "" for anything else. */
struct span text_of(const json_t *value);

/* The fixtures of the file that is being run; NULL: it has none. */
const json_t *vectors_fixtures(void);

/* TLSA records (lib/mail/tlsa, lib/mail/tlsa_walk, lib/io/tls_dane, policy/decide). */
json_t *judge_dane(const json_t *given);
bool dane_agrees(const json_t *expect, const json_t *got);

/* Does a certificate with these names fit the reference (lib/io/tls)? */
json_t *judge_certificate(const json_t *given);

/* The report of a day's sessions (tlsrpt/counts, tlsrpt/report). */
json_t *judge_aggregate(const json_t *given);
bool report_agrees(const json_t *expect, const json_t *got);

/* That, and a report's file name, message, POST and destinations (tlsrpt). */
json_t *judge_report(const json_t *given);
bool any_report_agrees(const json_t *expect, const json_t *got);

/* A delivery, a last attempt or a refresh: policy/domains and policy/decide. */
json_t *judge_decision(const json_t *given);
bool decision_agrees(const json_t *expect, const json_t *got);

/* Canonical forms, signatures, records of keys, rules (lib/mail/dkim_*, lib/io/signing_key). */
json_t *judge_dkim(const json_t *given);
bool dkim_agrees(const json_t *expect, const json_t *got);

#endif
