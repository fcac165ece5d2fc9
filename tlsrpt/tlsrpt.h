/*
 * tlsrpt - role entry: takes in what sessions came to, counts them by UTC day and policy, and
 * prints a day's report when the operator asks ("tlsrpt report").  Owns the report database, alone.
 */
#ifndef WAXSEAL_TLSRPT_TLSRPT_H
#define WAXSEAL_TLSRPT_TLSRPT_H

struct role;

/* Runs until the role ends; gives the exit status. */
int tlsrpt_main(struct role *role);

#endif
