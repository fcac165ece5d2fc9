/*
 * fake_dns - a DNS server on loopback in a process of its own, over UDP and TCP; what it says is a
 * function of the test.
 */
#ifndef WAXSEAL_TESTS_FAKE_DNS_H
#define WAXSEAL_TESTS_FAKE_DNS_H

#include "lib/base/network.h"

#include <sys/types.h>

enum { FAKE_DNS_HEADER = 12, FAKE_DNS_SIZE = 2048 };

struct fake_dns {
    int udp;
    int tcp;
    pid_t pid;
    struct endpoint endpoint;
};

/* Writes the reply into FAKE_DNS_SIZE octets and gives its length; 0: there is none. */
typedef size_t fake_dns_fn(const unsigned char *query, bool tcp, unsigned char *reply);

/* Bound; nobody reads. */
void fake_dns_open(struct fake_dns *fake);
/* Opened and serving. */
void fake_dns_start(struct fake_dns *fake, fake_dns_fn *reply);
void fake_dns_stop(struct fake_dns *fake);

/* Where the question of a message ends. */
size_t fake_dns_question_end(const unsigned char *query);
/* Is this the first label asked for? */
bool fake_dns_starts(const unsigned char *query, const char *label);
/* Begins a reply of one question and nothing else, with AD if it was wanted; gives its length. */
size_t fake_dns_begin(const unsigned char *query, unsigned char *reply);
/* Adds to a reply of that length; each gives the new one. */
size_t fake_dns_add_answer(unsigned char *reply, size_t at, unsigned type,
                           const unsigned char *data, unsigned len);
size_t fake_dns_add_opt(unsigned char *reply, size_t at);

#endif
