/*
 * utf8 - is a text well-formed UTF-8 (RFC 3629)?  Pure.  For what leaves as JSON, is a setting, or
 * an address of SMTPUTF8.
 */
#ifndef WAXSEAL_BASE_UTF8_H
#define WAXSEAL_BASE_UTF8_H

#include "lib/base/span.h"

/* The length of the well-formed character at the front of s, or 0 when there is none. */
size_t utf8_character(struct span s);

/* The number of a well-formed character, and how a number is written: gives the bytes used. */
enum { UTF8_CHARACTER_MAX = 4 };
uint32_t utf8_point(struct span character);
size_t utf8_write(uint32_t point, char room[UTF8_CHARACTER_MAX]);

/* True when s is well-formed to its end. */
bool utf8_is_valid(struct span s);

#endif
