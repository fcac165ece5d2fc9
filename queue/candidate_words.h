/*
 * candidate_words - what a candidate's certificate says, in words: for bounces and for the
 * operator.  Called by notify_words and reading.  Pure.
 */
#ifndef WAXSEAL_QUEUE_CANDIDATE_WORDS_H
#define WAXSEAL_QUEUE_CANDIDATE_WORDS_H

#include "lib/base/span.h"
#include "lib/ipc/queue.pb-c.h"

enum { CANDIDATE_WORDS_SIZE = 1280 };

/* Empty where no certificate was shown; in `room`, or lent from the candidate. */
struct span candidate_certificate(const Ipc__Candidate *candidate, char room[CANDIDATE_WORDS_SIZE]);

#endif
