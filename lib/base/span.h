/*
 * span - a lent piece of bytes: pointer and length, never assumed to end in NUL.
 * Everything that parses takes its input as a span.  Pure: no I/O, no memory.
 */
#ifndef WAXSEAL_BASE_SPAN_H
#define WAXSEAL_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const char *data;
    size_t len;
};

/* The arguments of a "%.*s" for a span; its bytes must be text already known to be harmless. */
#define SPAN_FMT "%.*s"
#define SPAN_ARG(s) (int)(s).len, (s).data

/* A span of a string literal, without its NUL. */
#define SPAN(literal) ((struct span){ "" literal, sizeof(literal) - 1 })

/* A span of a NUL-terminated string; NULL gives an empty span. */
struct span span_of(const char *text);

/* The part of s from `from` on, or its first `len` bytes; never past its end. */
struct span span_from(struct span s, size_t from);
struct span span_first(struct span s, size_t len);

bool span_equal(struct span a, struct span b);
/* Compare without regard to ASCII case, as mail and DNS names do (RFC 4343). */
bool span_equal_nocase(struct span a, struct span b);
bool span_starts_with(struct span s, struct span prefix);
bool span_starts_with_nocase(struct span s, struct span prefix);
bool span_ends_with_nocase(struct span s, struct span suffix);

/* The position of the first `byte`, or s.len when there is none. */
size_t span_find(struct span s, char byte);

/* Without the blanks and tabs at both ends. */
struct span span_trim(struct span s);

/*
 * Cuts the piece before the next `separator` off the front of *rest into *out_piece.
 * Gives false when *rest is used up; an empty last piece after a separator is given.
 * *rest becomes { NULL, 0 } behind the last piece.
 */
bool span_cut(struct span *rest, char separator, struct span *out_piece);

/*
 * Reads an unsigned decimal number that is the whole of s: digits only, no sign, no blank, at most
 * `max`.  Gives false, and leaves *out_value alone, for anything else.
 */
bool span_to_number(struct span s, uint64_t max, uint64_t *out_value);

/* True when no byte is above 127. */
bool span_is_ascii(struct span s);

/* True when every byte is printable ASCII (0x20 to 0x7e). */
bool span_is_printable(struct span s);

/*
 * Copies s as a NUL-terminated string into room of `size` bytes.  Gives false, and an empty
 * string, when it does not fit or holds a NUL.
 */
bool span_to_string(struct span s, char *room, size_t size);

/* ASCII only, whatever the locale says. */
char ascii_lower(char c);
bool ascii_is_alnum(char c);
bool ascii_is_digit(char c);
/* What a hexadecimal digit of either case is worth, 0 to 15; -1: it is none. */
int ascii_hex_value(char c);

#endif
