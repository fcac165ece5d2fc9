/*
 * clean_lines - finds at the beginning of content the lines of which nothing has to be said: whole,
 * ended by CRLF, without NUL, bare CR or bare LF.  Called by data_stream and data_writer, which go
 * over such runs in one step and look at every byte of the rest.  Pure; each byte is read a bounded
 * number of times, whatever stands in it.
 * Rules: RFC 5321 s.2.3.8, s.4.1.1.4.
 */
#ifndef WAXSEAL_MAIL_CLEAN_LINES_H
#define WAXSEAL_MAIL_CLEAN_LINES_H

#include "lib/base/span.h"

#include <stdint.h>

struct clean_lines {
    size_t len; /* of all of them, line ends counted; 0: none */
    uint64_t lines;
    uint64_t longest; /* octets, CRLF not counted */
    bool eight_bit;   /* a byte above 127 is among them */
};

/* `content` begins at the start of a line.  A line that begins with one of `stops` is not taken. */
struct clean_lines clean_lines_of(struct span content, const char *stops);

#endif
