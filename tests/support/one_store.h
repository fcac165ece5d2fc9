/*
 * one_store - what tests of the store's operations begin and end with: one queue, empty, and a
 * message for it.  A test that has more than that has set-ups of its own, on store_rig.
 */
#ifndef WAXSEAL_TESTS_SUPPORT_ONE_STORE_H
#define WAXSEAL_TESTS_SUPPORT_ONE_STORE_H

#include "tests/support/store_rig.h"

extern struct store_rig rig;

/* cmocka's set-up and tear-down. */
int open_rig(void **state);
int close_rig(void **state);

/* Accepts `mail` from ada@sender.test to bob@example.net; gives its id. */
extern const struct span mail;
uint64_t a_message(void);

#endif
