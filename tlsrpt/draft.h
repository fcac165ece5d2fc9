/*
 * draft - where the report about a subject goes, or why it goes nowhere: from the TLSRPT record
 * that was seen and the settings.  Called by the tlsrpt role when a day has ended, and again before
 * each try, since settings change.  Pure.
 * Rules: RFC 8460 s.3; design.md sections 6 and 11 (ten destinations, two of a host).
 */
#ifndef WAXSEAL_TLSRPT_DRAFT_H
#define WAXSEAL_TLSRPT_DRAFT_H

#include "lib/base/settings.h"
#include "tlsrpt/destination.h"
#include "tlsrpt/rua.h"
#include "tlsrpt/subject.h"

enum draft_verdict {
    DRAFT_GOES,
    DRAFT_OFF,      /* tlsrpt-reports */
    DRAFT_EXCLUDED, /* tlsrpt-exclude */
    DRAFT_NOWHERE,  /* the record names nothing that can be used */
    DRAFT_UNSIGNED, /* by mail alone, and no dkim entry signs for our sender */
};

/* "tlsrpt-reports is off", ...: for people */
const char *draft_verdict_text(enum draft_verdict verdict);

/* A URI of the record that is not used as it stands, and why. */
struct draft_fault {
    struct span uri; /* points into the record */
    enum destination_fault fault;
};

struct draft {
    struct destinations to;
    struct draft_fault faults[RUA_MAX]; /* the first ones */
    unsigned fault_count;
};

/* Takes a TXT record apart; a record that is none leads nowhere. */
void draft_read(struct span record, struct draft *out);

/* Does mail from our sender get a signature? */
bool draft_can_mail(const struct settings *settings);

/* May a report about the subject go to these destinations? */
enum draft_verdict draft_judge(const struct settings *settings, const struct subject *subject,
                               const struct destinations *to);

#endif
