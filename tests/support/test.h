/* test.h - what every unit test includes: cmocka and what it wants in front of it. */
#ifndef WAXSEAL_TESTS_SUPPORT_TEST_H
#define WAXSEAL_TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
