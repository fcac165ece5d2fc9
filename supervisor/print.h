/*
 * print - an answer for people, rows as a table and one object as lines, or for programs.  Pure,
 * apart from what it writes to.  Values come from the network: nothing in them reaches the terminal
 * as a control.
 */
#ifndef WAXSEAL_SUPERVISOR_PRINT_H
#define WAXSEAL_SUPERVISOR_PRINT_H

#include "lib/base/json.h"

#include <stdio.h>

/* What every answer says that somebody reads who wonders why no mail goes: the setting, and how to
 * end it. */
extern const char print_held_words[];

/* Rows of a list, objects of one kind, as a table; a page behind the first has no head. */
void print_rows(const struct json *rows, bool is_first, FILE *out);

/* One object, a member a line. */
void print_one(const struct json *object, FILE *out);

/* For programs. */
void print_json(const struct json *value, FILE *out);

/*
 * A text with control bytes and what is not UTF-8 made visible; gives its width in characters.
 * Without `out` it only measures.
 */
size_t print_safe(struct span text, FILE *out);

/* "waxseal: WORDS" for people, who may have typed some of the words themselves. */
void print_trouble(const char *words, FILE *out);

/*
 * Some words, a member that is a text from outside, as print_safe does it, and more words; nothing
 * when the object has no such text.
 */
void print_text(const char *before, const struct json *object, const char *key, const char *after,
                FILE *out);

#endif
