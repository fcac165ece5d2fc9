/*
 * print - a role's answer for people: rows as a table, one object as lines.  Pure, apart from what
 * it writes to.  Values come from the network: nothing in them reaches the terminal as a control.
 */
#ifndef WAXSEAL_SUPERVISOR_PRINT_H
#define WAXSEAL_SUPERVISOR_PRINT_H

#include "lib/base/error.h"
#include "lib/base/json.h"

#include <stdio.h>

/* An answer that is an array of objects, or an object a line, as a table. */
struct error *print_rows(struct span answer, const char *if_empty, FILE *out) MUST_CHECK;

/* An answer that is one object, a member a line. */
struct error *print_one(struct span answer, FILE *out) MUST_CHECK;

/*
 * A text with control bytes and what is not UTF-8 made visible; gives its width in characters.
 * Without `out` it only measures.
 */
size_t print_safe(struct span text, FILE *out);

#endif
