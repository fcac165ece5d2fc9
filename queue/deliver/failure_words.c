#include "queue/deliver/failure_words.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/ipc/channel.h"
#include "policy/mx_match.h"

/* --- the host and the policy's patterns */

static bool is_listed(const Ipc__Policy *policy, const char *mx)
{
    for (size_t i = 0; i < policy->n_mx; i++)
        if (mx_match(span_of(mx), span_of_bytes(policy->mx[i])))
            return true;
    return false;
}

/* As many patterns as there is room for, and dots for the rest. */
static void unlisted_words(const struct failure *f, char words[FAILURE_WORDS_SIZE])
{
    static const char more[] = ", ...";
    size_t len = (size_t)snprintf(words, FAILURE_WORDS_SIZE,
                                  "MX host not in policy: %.100s fits none of", f->mx);

    for (size_t i = 0; i < f->policy->n_mx; i++) {
        struct span pattern = span_of_bytes(f->policy->mx[i]);
        size_t room = FAILURE_WORDS_SIZE - len - sizeof(more);
        if (pattern.len + 2 > room) {
            memcpy(words + len, i > 0 ? more : more + 1, sizeof(more) - (i == 0));
            return;
        }
        len += (size_t)snprintf(words + len, FAILURE_WORDS_SIZE - len, "%s " SPAN_FMT,
                                i > 0 ? "," : "", SPAN_ARG(pattern));
    }
}

/* --- certificates */

/* The error's name, and what of the certificate calls for it. */
static void certificate_words(const struct failure *f, char words[FAILURE_WORDS_SIZE])
{
    const struct tls_session *tls = &f->facts->session;
    const char *subject = tls->subject[0] ? tls->subject : "without a name";
    char until[CLOCK_TEXT_SIZE];

    clock_format_rfc3339(tls->not_after_utc_ms, until);
    if (f->decision->result == TLS_RESULT_TLSA_INVALID)
        snprintf(words, FAILURE_WORDS_SIZE, "%.64s: the key is 3 1 1 %s, of the certificate %.80s",
                 tls->cert_reason, tls->key_sha256, subject);
    else if (tls->cert == CERT_EXPIRED)
        snprintf(words, FAILURE_WORDS_SIZE, "%.64s: certificate %.100s, valid until %s",
                 tls->cert_reason, subject, until);
    else if (tls->cert == CERT_HOST_MISMATCH)
        snprintf(words, FAILURE_WORDS_SIZE, "%.64s: certificate for %.100s, not for %s",
                 tls->cert_reason, tls->names[0] ? tls->names : subject, f->mx);
    else
        snprintf(words, FAILURE_WORDS_SIZE, "%.64s: certificate %.80s, issued by %.80s",
                 tls->cert_reason, subject, tls->issuer);
}

/* --- all others */

/* Is it the certificate that the session failed for? */
static bool certificate_is_to_blame(const struct failure *f)
{
    static const enum tls_result results[] = {
        [CERT_EXPIRED] = TLS_RESULT_CERTIFICATE_EXPIRED,
        [CERT_HOST_MISMATCH] = TLS_RESULT_CERTIFICATE_HOST_MISMATCH,
        [CERT_NOT_TRUSTED] = TLS_RESULT_CERTIFICATE_NOT_TRUSTED,
        [CERT_NOT_OF_TLSA] = TLS_RESULT_TLSA_INVALID,
        [CERT_OTHER] = TLS_RESULT_VALIDATION_FAILURE,
    };

    return f->facts && f->facts->tls == SESSION_TLS_ON &&
           f->facts->session.cert_reason[0] != '\0' &&
           results[f->facts->session.cert] == f->decision->result;
}

static void other_words(const struct failure *f, char words[FAILURE_WORDS_SIZE])
{
    const struct dialogue_facts *facts = f->facts;

    if (facts && facts->tls == SESSION_TLS_FAILED && facts->tls_reason[0] != '\0')
        snprintf(words, FAILURE_WORDS_SIZE, "%s", facts->tls_reason);
    else if (facts && facts->tls == SESSION_TLS_ON &&
             f->decision->result == TLS_RESULT_VALIDATION_FAILURE)
        snprintf(words, FAILURE_WORDS_SIZE, "%s: %s %s", f->decision->reason,
                 facts->session.version, facts->session.cipher);
    else if (f->decision->result == TLS_RESULT_DNSSEC_INVALID && f->trouble[0] != '\0')
        snprintf(words, FAILURE_WORDS_SIZE, "%s", f->trouble); /* whole: DNS's word is at its end */
    else
        snprintf(words, FAILURE_WORDS_SIZE, "%s%s%.100s", f->decision->reason,
                 f->trouble[0] != '\0' ? ": " : "", f->trouble);
}

void failure_words(const struct failure *failure, char words[FAILURE_WORDS_SIZE])
{
    if (failure->policy && !is_listed(failure->policy, failure->mx))
        unlisted_words(failure, words);
    else if (certificate_is_to_blame(failure))
        certificate_words(failure, words);
    else
        other_words(failure, words);
}
