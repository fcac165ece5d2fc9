/*
 * attempt_private - what the parts of an attempt share: attempt.c has its life, the way from one
 * candidate to the next, and the connecting; attempt_candidate.c what comes before connecting to
 * one; attempt_dane.c what its TLSA records decide; attempt_session.c the session and the message;
 * attempt_record.c what is written down of it.
 */
#ifndef WAXSEAL_QUEUE_DELIVER_ATTEMPT_PRIVATE_H
#define WAXSEAL_QUEUE_DELIVER_ATTEMPT_PRIVATE_H

#include "lib/io/host_lookup.h"
#include "queue/deliver/attempt.h"
#include "queue/deliver/ladder.h"
#include "queue/deliver/race.h"

enum {
    ATTEMPT_MS = 30 * 60 * 1000, /* in which connections are begun */
    SLOT_WAIT_MS = 10 * 1000,    /* for leave to connect to a candidate that is not the first */
    CROWDED_MS = 5 * 60 * 1000,  /* a job waits for others to leave a host, after its first try */
    GIVE_WAY_MAX = 2, /* times that it waits for others of its lane that have no session either */
};

struct attempt {
    struct list others; /* in the lane */
    struct lane *lane;
    struct plans *plans;
    struct plan *plan; /* one of these: the host of the route whose candidates are tried */
    unsigned places[TARGETS_MAX]; /* the order of the plans, for this job */
    unsigned place;               /* the plan's in it */
    struct job *job;
    struct session *session;  /* NULL in a follower: its leader has it */
    struct attempt *follower; /* its message's commands left with ours */
    bool is_follower;
    bool is_doomed; /* a follower whose job nobody wants any more */
    struct host_lookup *lookup;
    struct tlsa_set *tlsa;    /* of the candidate; NULL: none bind */
    const char *tlsa_trouble; /* why they do not decide; of the job's words */
    bool tlsa_failed;         /* nobody knows them, and the job goes all the same */
    struct race *race;
    struct host_slot *asking; /* for leave to connect to the candidate */
    struct loop_timer *slot_wait;

    /* the candidate */
    unsigned candidate;
    unsigned order[2 * MX_NAMES_MAX]; /* of the candidates, for this job; those put off once more */
    unsigned order_count;
    unsigned next;                                 /* place in it of the one after */
    struct ip_address addresses[MX_ADDRESSES_MAX]; /* not tried yet */
    unsigned address_count;
    unsigned connects;            /* made; ATTEMPT_CONNECTS_MAX at most */
    int64_t until_ms;             /* of the loop: no further connection after it */
    struct sts_decision decision; /* how to connect; then, whether mail may go */
    struct rung rung;             /* of the ladder, that the connection is made on */
    bool in_full;              /* no TLS session of before is offered: the host stumbled over one */
    uint64_t trust_generation; /* that the connection is made with */
    bool failed_before;        /* its handshake, at this address */
    bool no_chunking;          /* a host offered it and did not know BDAT */
    unsigned line;             /* of the job's candidates */

    bool blames_hop; /* some candidate failed us, not we ourselves */
    bool is_crowded; /* some candidate took no more, while connections to it stood */
    bool was_ready;  /* some candidate was fit for mail */
    bool is_judged;  /* the session has its line in the record */
    bool is_sent;    /* the dialogue has the job, or had it */
    bool is_reused;  /* the session is not of our making, and may be stale */
};

const char *attempt_mx(const struct attempt *a);
struct worker *attempt_worker(const struct attempt *a);

/* --- attempt.c */
struct attempt *attempt_new(struct lane *lane, struct job *job);
void attempt_free(struct attempt *a);
/* All is tried that could be: the job goes back. */
void attempt_over(struct attempt *a);
/* The job goes on later, before all others: the session is needed for another one. */
void attempt_requeue(struct attempt *a, unsigned position);
/* Where it would go on. */
unsigned attempt_position(const struct attempt *a);
/* Goes on there, or at the first host that can be used at all. */
void attempt_begin_at(struct attempt *a, unsigned position);
/* The candidates of another host of the route. */
void attempt_take_plan(struct attempt *a, unsigned place);
/* Nothing came of it. */
void attempt_discard(struct attempt *a);
/* Each candidate in turn, each of its addresses, within bounds (pitfalls.md section 7.10). */
void attempt_walk(struct attempt *a);
bool attempt_may_connect(const struct attempt *a);
/* The candidate takes no connection now. */
void attempt_refused(struct attempt *a, struct span words);
/* Only when attempt_may_connect; no more addresses than may be connected to. */
void attempt_connect(struct attempt *a, const struct ip_address *addresses, unsigned count);

/* --- attempt_candidate.c: whether the next candidate may be used, and its addresses */
/* What is known of a candidate, and what the job wants, before connecting. */
struct sts_facts attempt_facts(const struct plan *plan, unsigned candidate, const struct job *job);
/* Takes the next one; true when something is being looked up, and attempt_walk follows. */
bool attempt_open_candidate(struct attempt *a);

/* --- attempt_dane.c: the candidate's TLSA records */
/* Are records of such a candidate asked for at all? */
bool attempt_asks_tlsa(const struct plan *plan, const struct sts_facts *f);
/* attempt_facts, with what the records are worth. */
struct sts_facts attempt_facts_now(const struct attempt *a);
/* Why there is nothing to judge by; "" where the route does not ask for it. */
const char *attempt_dane_trouble(const struct attempt *a);
/* The candidate's are these (NULL: none), which are kept, or `trouble`. */
void attempt_take_tlsa(struct attempt *a, const struct tlsa_set *tlsa, const char *trouble);
/* The names that a certificate may bear besides the base domain. */
struct tlsa_names attempt_tlsa_names(const struct attempt *a);
/*
 * Tells tlsrpt of the decision at hand; `facts` NULL: of a candidate that was not connected to.
 * `trouble`: what stood in the way of TLSA records or of TLS, or "".
 */
void attempt_report(const struct attempt *a, const struct tlsa_set *tlsa,
                    const struct dialogue_facts *facts, const char *trouble);
/* True when the candidate is not to be used, for want of an answer: settled and reported. */
bool attempt_stops_without_tlsa(struct attempt *a, const struct host_answer *answer);
/* What the records judged, for the next message over the session. */
void attempt_mark_session(struct attempt *a, const struct dialogue_facts *facts);

/* --- attempt_session.c */
extern const struct dialogue_events attempt_events;
/* A session that is already open: its line in the record of one more message. */
void attempt_join(struct attempt *a, struct session *session);

/* --- attempt_record.c: the candidate's line in the job's decision record, and results */
struct job_candidate *attempt_line(struct attempt *a);
struct job_candidate *attempt_add_line(struct attempt *a, const char *verdict);
void attempt_line_address(struct attempt *a, const struct ip_address *address);
/* What is known of the session, from its making on. */
void attempt_line_session(struct attempt *a);
/* What the candidate's line says of the whole message: the best that came of a recipient. */
void attempt_line_result(struct attempt *a, enum stage stage);
void attempt_settle(struct attempt *a, const struct outcome *outcome, struct span words,
                    bool remote);
/*
 * The candidate does not meet what binds: never final before the end (RFC 8461 s.5), but with
 * REQUIRETLS final when there is no other (RFC 8689 s.4.2.1).
 */
void attempt_settle_policy(struct attempt *a, const char *detail);
/* A host of the route was left out, for nothing is known of it now: no other's "never" is final. */
void attempt_settle_unknown(struct attempt *a);

#endif
