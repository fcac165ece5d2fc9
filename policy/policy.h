/*
 * policy - role entry: answers deliver's question "which policy binds mail to this domain now?",
 * keeps and renews the policies, answers the operator's "policy show" and "policy refresh".
 * Owns the policy database, alone; touches DNS and policy hosts, never mail.
 */
#ifndef WAXSEAL_POLICY_POLICY_H
#define WAXSEAL_POLICY_POLICY_H

struct role;

/* Runs until the role ends; gives the exit status. */
int policy_main(struct role *role);

#endif
