/*
 * filter - which of the recipients that wait an operator's command is about.  Called by control,
 * which makes it of a request's named arguments, and by the store's files that walk over the rows.
 * All that is given must hold.  Pure: no memory beyond the struct, no clock.  What comes in was
 * written by whoever reached the control socket, and may be anything.
 */
#ifndef WAXSEAL_QUEUE_FILTER_H
#define WAXSEAL_QUEUE_FILTER_H

#include "lib/base/error.h"
#include "lib/base/span.h"

enum {
    FILTER_TEXT_MAX = 320, /* an address; a hop's name */
};

/* What one recipient is to a filter.  Texts are lent; those not known are empty. */
enum waiting_state {
    WAITING_QUEUED,     /* not tried yet */
    WAITING_POLICY,     /* its domain's policy is not known yet */
    WAITING_SIGNATURE,  /* it could not be signed yet (DKIM) */
    WAITING_DEFERRED,   /* tried at least once */
    WAITING_HELD,       /* until somebody releases it */
    WAITING_DAMAGED,    /* some of it or of its message cannot be read */
    WAITING_SUSPENDED,  /* its next hop is, by an operator */
    WAITING_DELIVERING, /* with a worker */
    WAITING_STATES,
};
const char *waiting_state_name(enum waiting_state state);

enum filter_text {
    FILTER_SENDER,    /* the reverse-path; "<>" for the null one */
    FILTER_RECIPIENT, /* the forward-path */
    FILTER_DOMAIN,    /* its domain; ".example.org": all below */
    FILTER_NEXT_HOP,
    FILTER_REPLY, /* a part of the last reply or of why it is held, or how the last status begins */
    FILTER_LISTENER,
    FILTER_USER,
    FILTER_TEXTS,
};
struct filter_facts {
    uint64_t id;
    struct span texts[FILTER_TEXTS];
    struct span status; /* of the last reply, "4.4.1" */
    struct span held_reason;
    int64_t age_ms;
    uint64_t size;
    enum waiting_state state;
};

struct filter {
    uint64_t id; /* 0: any */
    char texts[FILTER_TEXTS][FILTER_TEXT_MAX + 1];
    unsigned texts_given; /* bits */
    int64_t older_ms;     /* at least so old */
    int64_t younger_ms;   /* younger than that; 0: any */
    uint64_t larger;      /* at least so large, in bytes */
    uint64_t smaller;     /* smaller than that; 0: any */
    unsigned states;      /* bits; 0: any */
};

/* The arguments that make a filter, in the order in which they are told. */
extern const char *const filter_names[];
extern const unsigned filter_name_count;

void filter_init(struct filter *filter);
/* Takes one argument; says what is wrong with it.  `name` is one of filter_names. */
struct error *filter_take(struct filter *filter, struct span name, struct span value) MUST_CHECK;
/* Nothing was given: it would match everything. */
bool filter_is_empty(const struct filter *filter);

bool filter_matches(const struct filter *filter, const struct filter_facts *facts);

/* Does a text match a pattern, where "*" stands for anything and "?" for one byte?  Without regard
 * to ASCII case.  Takes time in proportion to the product of the lengths at most. */
bool filter_glob(struct span pattern, struct span text);

#endif
