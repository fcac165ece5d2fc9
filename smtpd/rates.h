/*
 * rates - how much each client, user and sender has asked of us lately, over all smtpd processes,
 * and which clients have handed in mail of late.  Called by smtpd/session for every MAIL and RCPT,
 * and by smtpd/entrance.  A table of fixed size in memory that the processes share.
 *
 * Of a limit of N in some time, one comes back every time/N: a row holds when all of it will have
 * come back (the generic cell rate algorithm), so that nothing has to be swept.  Names are found in
 * two rows each by a keyed hash, and the smaller count holds; strangers that share both make it too
 * large, hardly ever.  A captured process may garble rows: what it writes is taken within bounds,
 * and gone after one time.
 */
#ifndef WAXSEAL_SMTPD_RATES_H
#define WAXSEAL_SMTPD_RATES_H

#include "lib/base/error.h"
#include "lib/base/network.h"

struct rates;

enum rate {
    RATE_CLIENT_MESSAGES,
    RATE_CLIENT_RECIPIENTS,
    RATE_USER_MESSAGES,
    RATE_USER_RECIPIENTS,
    RATE_SENDER_MESSAGES,
    RATE_SENDER_RECIPIENTS,
    RATE_COUNT,
};

/* "messages from your address" */
const char *rate_name(enum rate rate);

/* One more of something is asked for. */
struct rate_ask {
    enum rate rate;
    struct span who; /* letters in either case are the same */
    unsigned limit;  /* in the time; 0: none */
};

/* The shared memory holds the counters, then this table; offset and whole size. */
enum { RATES_OFFSET = 4 * 1024 * 1024, RATES_END = 5 * 1024 * 1024 };

/* The descriptor stays the caller's.  -1: a table of our own, for one process alone. */
struct error *rates_open(int fd, struct rates **out_rates) MUST_CHECK;
void rates_close(struct rates **rates);

/* What a client is counted as: an IPv4 address, an IPv6 /64, or a user of this machine. */
enum { RATE_CLIENT_SIZE = 9 };
struct span rate_client(const struct ip_address *client, char room[RATE_CLIENT_SIZE]);

/*
 * Takes one of each that is asked for and gives true; or none, and *out_spent is the first that is
 * used up.  `now_ms` is monotonic and the same for all processes.
 */
bool rates_take(struct rates *rates, const struct rate_ask *asks, unsigned count, int64_t now_ms,
                int64_t time_ms, enum rate *out_spent);

/* A client has handed in a message; is it known for one within the hour? */
void rates_praise(struct rates *rates, const struct ip_address *client, int64_t now_ms);
bool rates_knows(const struct rates *rates, const struct ip_address *client, int64_t now_ms);

#endif
