#include "queue/candidate_words.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/ipc/channel.h"

/* A version before wrote the words themselves. */
struct span candidate_certificate(const Ipc__Candidate *candidate, char room[CANDIDATE_WORDS_SIZE])
{
    struct span verify = span_of_bytes(candidate->verify_result);
    bool is_fine = span_equal(verify, SPAN("ok"));
    char expires[CLOCK_TEXT_SIZE];
    int len;

    if (verify.len == 0)
        return span_of_bytes(candidate->certificate);
    clock_format_rfc3339(candidate->certificate_expires_utc_ms, expires);
    len = snprintf(room, CANDIDATE_WORDS_SIZE,
                   "subject " SPAN_FMT "; names " SPAN_FMT "; issuer " SPAN_FMT
                   "; expires %s%s" SPAN_FMT,
                   SPAN_ARG(span_of_bytes(candidate->certificate_subject)),
                   SPAN_ARG(span_of_bytes(candidate->certificate_names)),
                   SPAN_ARG(span_of_bytes(candidate->certificate_issuer)), expires,
                   is_fine ? "" : "; ", SPAN_ARG(is_fine ? SPAN("") : verify));
    return (struct span){ room,
                          len < CANDIDATE_WORDS_SIZE ? (size_t)len : CANDIDATE_WORDS_SIZE - 1 };
}
